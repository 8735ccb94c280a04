/* The arena: a list of chunks of 64 KiB. An allocation takes the next bytes of the first chunk;
 * when they do not suffice, another chunk goes in front. A reset keeps a few chunks, because an
 * arena is filled and emptied once a batch. */
#include "base/arena.h"

#include "base/memory.h"
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_SIZE = 64 * 1024,
    CHUNKS_KEPT = 4, /* by a reset: to free large blocks and allocate them again is slow */
    ALIGNMENT = 16
};

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* of data */
    _Alignas(ALIGNMENT) char data[];
};

static struct arena_chunk *chunk_new(size_t size)
{
    struct arena_chunk *c = memory_need(malloc(sizeof *c + size));
    c->next = NULL;
    c->size = size;
    return c;
}

void arena_init(struct arena *a)
{
    *a = (struct arena){0};
}

static void free_chunks(struct arena_chunk *c)
{
    for (struct arena_chunk *next; c; c = next) {
        next = c->next;
        free(c);
    }
}

void arena_release(struct arena *a)
{
    free_chunks(a->head);
    free_chunks(a->spare);
    *a = (struct arena){0};
}

/* explicit_bzero, because a compiler may leave out a memset before a free. */
static void wipe_chunks(struct arena_chunk *c)
{
    for (; c; c = c->next) {
        explicit_bzero(c->data, c->size);
    }
}

void arena_wipe(struct arena *a)
{
    wipe_chunks(a->head);
    wipe_chunks(a->spare);
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *kept = NULL;
    size_t n = 0;
    struct arena_chunk *lists[] = {a->head, a->spare};
    for (size_t i = 0; i < 2; i++) {
        for (struct arena_chunk *c = lists[i], *next; c; c = next) {
            next = c->next;
            if (n < CHUNKS_KEPT && c->size == CHUNK_SIZE) {
                c->next = kept;
                kept = c;
                n++;
            } else {
                free(c);
            }
        }
    }
    *a = (struct arena){.spare = kept};
}

/* An empty chunk of CHUNK_SIZE: a spare one if there is one. */
static struct arena_chunk *ordinary_chunk(struct arena *a)
{
    struct arena_chunk *c = a->spare;
    if (!c) {
        return chunk_new(CHUNK_SIZE);
    }
    a->spare = c->next;
    return c;
}

/* A large block gets a chunk of its own behind the head, so that the head's free space stays
 * usable. */
static void *alloc_large(struct arena *a, size_t size)
{
    struct arena_chunk *c = chunk_new(size);
    if (a->head) {
        c->next = a->head->next;
        a->head->next = c;
    } else {
        a->head = c;
        a->used = size;
    }
    a->total += size;
    return c->data;
}

static void *alloc_aligned(struct arena *a, size_t size, size_t align)
{
    assert(size <= SIZE_MAX / 2);
    size_t start = (a->used + align - 1) & ~(align - 1);
    if (!a->head || start > a->head->size || a->head->size - start < size) {
        if (size > CHUNK_SIZE / 4) {
            return alloc_large(a, size);
        }
        struct arena_chunk *c = ordinary_chunk(a);
        c->next = a->head;
        a->head = c;
        start = 0;
    }
    a->used = start + size;
    a->total += size;
    return a->head->data + start;
}

void *arena_alloc(struct arena *a, size_t size)
{
    return alloc_aligned(a, size, ALIGNMENT);
}

char *arena_bytes(struct arena *a, size_t size)
{
    return alloc_aligned(a, size, 1);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        fputs("commitrelay: array size overflows\n", stderr);
        abort();
    }
    return memset(arena_alloc(a, bytes), 0, bytes);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    if (slice_is_null(s)) {
        return s;
    }
    char *p = arena_bytes(a, s.len + 1);
    memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return (struct slice){p, s.len};
}
