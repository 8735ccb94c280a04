/*
 * The row ids that were handed out and are not yet deleted: a hash set, bounded by what may be in
 * flight. One thread.
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

void outbox_sqlite_held_release(struct outbox_sqlite_held *h);
void outbox_sqlite_held_clear(struct outbox_sqlite_held *h); /* memory kept */
void outbox_sqlite_held_add(struct outbox_sqlite_held *h, int64_t key);
bool outbox_sqlite_held_has(const struct outbox_sqlite_held *h, int64_t key);
void outbox_sqlite_held_remove(struct outbox_sqlite_held *h, int64_t key);
