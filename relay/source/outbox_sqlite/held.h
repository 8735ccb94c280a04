/*
 * The row ids that are in flight: given, and not yet deleted. A hash set, bounded by what may be in
 * flight. Memory that cannot be had ends the process. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbox_sqlite_held {
    int64_t *slots;
    bool *used;
    size_t count, cap; /* cap: 0 or a power of two */
};

/* `clear` forgets all keys and keeps the memory, `release` frees that too. */
void outbox_sqlite_held_release(struct outbox_sqlite_held *h);
void outbox_sqlite_held_clear(struct outbox_sqlite_held *h);
/* Adding a key twice, or removing one that is not there, does nothing. */
void outbox_sqlite_held_add(struct outbox_sqlite_held *h, int64_t key);
bool outbox_sqlite_held_has(const struct outbox_sqlite_held *h, int64_t key);
void outbox_sqlite_held_remove(struct outbox_sqlite_held *h, int64_t key);
