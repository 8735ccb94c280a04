/*
 * The hash set of rows in flight (held.h): open addressing with linear probing; removing a key
 * closes the gap it leaves.
 */
#include "source/outbox_sqlite/held.h"

#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

void outbox_sqlite_held_release(struct outbox_sqlite_held *h)
{
    free(h->slots);
    free(h->used);
    *h = (struct outbox_sqlite_held){0};
}

void outbox_sqlite_held_clear(struct outbox_sqlite_held *h)
{
    if (h->cap > 0) {
        memset(h->used, 0, h->cap * sizeof *h->used);
    }
    h->count = 0;
}

static size_t home(const struct outbox_sqlite_held *h, int64_t key)
{
    return (size_t)((uint64_t)key * UINT64_C(0x9E3779B97F4A7C15) >> 17) & (h->cap - 1);
}

/* The slot of the key, or the free slot where it would go. */
static size_t find(const struct outbox_sqlite_held *h, int64_t key)
{
    size_t i = home(h, key);
    while (h->used[i] && h->slots[i] != key) {
        i = (i + 1) & (h->cap - 1);
    }
    return i;
}

static void grow(struct outbox_sqlite_held *h)
{
    struct outbox_sqlite_held bigger = {.cap = h->cap ? h->cap * 2 : 256};
    bigger.slots = memory_need(calloc(bigger.cap, sizeof *bigger.slots));
    bigger.used = memory_need(calloc(bigger.cap, sizeof *bigger.used));
    for (size_t i = 0; i < h->cap; i++) {
        if (h->used[i]) {
            outbox_sqlite_held_add(&bigger, h->slots[i]);
        }
    }
    outbox_sqlite_held_release(h);
    *h = bigger;
}

void outbox_sqlite_held_add(struct outbox_sqlite_held *h, int64_t key)
{
    if (h->count * 2 >= h->cap) {
        grow(h);
    }
    size_t i = find(h, key);
    if (!h->used[i]) {
        h->used[i] = true;
        h->slots[i] = key;
        h->count++;
    }
}

bool outbox_sqlite_held_has(const struct outbox_sqlite_held *h, int64_t key)
{
    return h->count > 0 && h->used[find(h, key)];
}

void outbox_sqlite_held_remove(struct outbox_sqlite_held *h, int64_t key)
{
    if (!outbox_sqlite_held_has(h, key)) {
        return;
    }
    size_t gap = find(h, key);
    size_t mask = h->cap - 1;
    for (size_t i = (gap + 1) & mask; h->used[i]; i = (i + 1) & mask) {
        /* The key at i may move to the gap unless its home slot lies behind the gap; then a search
         * would not find it any more. */
        if (((i - home(h, h->slots[i])) & mask) >= ((i - gap) & mask)) {
            h->slots[gap] = h->slots[i];
            gap = i;
        }
    }
    h->used[gap] = false;
    h->count--;
}
