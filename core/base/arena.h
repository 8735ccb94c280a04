/*
 * A bump allocator: everything allocated from it dies together (one arena a batch).
 * Owner: whoever embeds it. One thread at a time. Memory running out aborts the process: the
 * arena's users hold bounded amounts, and a relay that cannot get 64 KiB cannot keep a promise
 * either; kill -9 safety covers the abort.
 */
#pragma once

#include "base/slice.h"
#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *head;  /* the chunk in use; older ones follow */
    struct arena_chunk *spare; /* kept by the last reset */
    size_t used;               /* in head */
    size_t total;              /* bytes handed out since the last reset */
};

void arena_init(struct arena *a);
void arena_release(struct arena *a);
/* Overwrites all that lies there, for secrets; nothing may be read from it any more. */
void arena_wipe(struct arena *a);

/* Forgets all allocations; keeps a few ordinary chunks (256 KiB) for the next round. */
void arena_reset(struct arena *a);

/* `size` bytes aligned for any type, not cleared. Never NULL. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((returns_nonnull, malloc));

/* Cleared array of n elements; an overflow of n * size aborts. */
void *arena_array(struct arena *a, size_t n, size_t size) __attribute__((returns_nonnull, malloc));

/* `size` bytes without alignment: for text. */
char *arena_bytes(struct arena *a, size_t size) __attribute__((returns_nonnull));

/* Copies; a null slice stays null. The copy is followed by a NUL that its length does not count. */
struct slice arena_copy(struct arena *a, struct slice s);
