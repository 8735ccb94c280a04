/*
 * A bump allocator. It hands out memory piece by piece and frees all of it at once. Example: each
 * batch has an arena, and the texts of its events lie there until the batch is emptied.
 *
 * The arena belongs to whoever embeds the struct, and the memory it hands out belongs to the arena:
 * nobody frees a single piece. One thread at a time.
 *
 * When memory runs out, the process aborts, so no function here can fail. Those who use an arena
 * limit what they put into it, so this is rare. Nothing is lost: an abort is safe in the same way
 * as kill -9, and what was not saved is read again at the next start.
 */
#pragma once

#include "base/slice.h"
#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *head;  /* the chunk in use; the others follow */
    struct arena_chunk *spare; /* empty ones that the last reset kept */
    size_t used;               /* bytes taken of head */
    size_t total;              /* bytes handed out since the last reset */
};

/* Makes an empty arena; a struct of zeros is one too. Allocates nothing. */
void arena_init(struct arena *a);

/* Frees all of its memory. The arena is empty then and may be used again. */
void arena_release(struct arena *a);

/* Overwrites all of its memory with zeros, because secrets lie there. Frees nothing: the next call
 * is arena_release. */
void arena_wipe(struct arena *a);

/* Forgets all allocations. Keeps up to 256 KiB of memory for the next ones and frees the rest. */
void arena_reset(struct arena *a);

/* `size` bytes aligned for any type, not cleared. Never NULL. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((returns_nonnull, malloc));

/* An array of n elements of `size` bytes, cleared. Aborts when n * size overflows. Never NULL. */
void *arena_array(struct arena *a, size_t n, size_t size) __attribute__((returns_nonnull, malloc));

/* `size` bytes without alignment, not cleared: for text. Never NULL. */
char *arena_bytes(struct arena *a, size_t size) __attribute__((returns_nonnull));

/* Copies the text into the arena; a null slice stays null. A NUL follows the copy, and its length
 * does not count it. */
struct slice arena_copy(struct arena *a, struct slice s);
