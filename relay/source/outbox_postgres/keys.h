/*
 * The rows of status and delete modes that must not be given now: those that were handed out and
 * are not yet acknowledged (held), and the keys that wait behind a row whose next attempt is not
 * yet due (blocked). One thread.
 */
#pragma once

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

struct outbox_pg_held_item {
    size_t offset; /* in text */
    uint32_t len;
    bool gone, acking;
};

/* In the order handed out, which is almost always the order of acknowledgement. Bounded by what may
 * be in flight. */
struct outbox_pg_held {
    struct outbox_pg_held_item *items;
    size_t from, count, cap; /* items[from..count) */
    size_t hint;             /* where the next acknowledged one most likely is */
    size_t live;             /* not gone */
    struct buf text;
};

void outbox_pg_held_release(struct outbox_pg_held *h);
void outbox_pg_held_clear(struct outbox_pg_held *h); /* memory kept */
void outbox_pg_held_add(struct outbox_pg_held *h, struct slice key);
void outbox_pg_held_acking(struct outbox_pg_held *h,
                           struct slice key);        /* unknown keys are ignored */
void outbox_pg_held_acked(struct outbox_pg_held *h); /* forgets those */
void outbox_pg_held_array(const struct outbox_pg_held *h, struct buf *out);

struct outbox_pg_blocked {
    struct outbox_pg_blocked_item {
        char *key;
        size_t len;
        int64_t until_us; /* monotonic */
    } * items;
    size_t count, cap;
};

enum { OUTBOX_PG_BLOCKED_MAX = 10000 };

void outbox_pg_blocked_release(struct outbox_pg_blocked *b);
void outbox_pg_blocked_clear(struct outbox_pg_blocked *b);
/* False when there are too many already. A key that is there keeps the later time. */
bool outbox_pg_blocked_add(struct outbox_pg_blocked *b, struct slice key, int64_t until_us);
bool outbox_pg_blocked_has(const struct outbox_pg_blocked *b, struct slice key);
void outbox_pg_blocked_expire(struct outbox_pg_blocked *b, int64_t now_us);
int64_t outbox_pg_blocked_next(const struct outbox_pg_blocked *b); /* DEADLINE_NEVER if empty */
void outbox_pg_blocked_array(const struct outbox_pg_blocked *b, struct buf *out);
