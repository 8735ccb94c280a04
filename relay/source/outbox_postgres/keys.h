/*
 * Status and delete modes must not give some rows again when they read the table. This file
 * remembers which:
 *   held     rows that are in flight: given, and not yet acknowledged
 *   blocked  keys (aggregateid) behind a row whose next attempt is not yet due
 *
 * Nothing here fails: memory that cannot be had ends the process. Keys are copied. One thread.
 */
#pragma once

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

/* A row in flight, by the text of its key. gone: acknowledged, the slot is not used any more;
 * acking: the statement that marks it is under way. */
struct outbox_pg_held_item {
    size_t offset; /* in text */
    uint32_t len;
    bool gone, acking;
};

/* In the order in which rows were given, which is almost always the order in which they are
 * acknowledged. What may be in flight bounds the number. */
struct outbox_pg_held {
    struct outbox_pg_held_item *items;
    size_t from, count, cap; /* items[from..count) */
    size_t hint;             /* index at which the search for the next acknowledged row begins */
    size_t live;             /* number of items that are not gone */
    struct buf text;
};

/* `clear` forgets all rows and keeps the memory, `release` frees that too. */
void outbox_pg_held_release(struct outbox_pg_held *h);
void outbox_pg_held_clear(struct outbox_pg_held *h);
/* A row was given: it is in flight from now on. */
void outbox_pg_held_add(struct outbox_pg_held *h, struct slice key);
/* The row is being marked; an unknown key is ignored. */
void outbox_pg_held_acking(struct outbox_pg_held *h, struct slice key);
/* The mark succeeded: forgets the rows that were being marked. */
void outbox_pg_held_acked(struct outbox_pg_held *h);
/* Replaces `out` with the keys of all rows in flight, as the text of a PostgreSQL array. */
void outbox_pg_held_array(const struct outbox_pg_held *h, struct buf *out);

/* Owns the copies of the keys. A linear search is enough: few keys wait as a rule. */
struct outbox_pg_blocked {
    struct outbox_pg_blocked_item {
        char *key;
        size_t len;
        int64_t until_us; /* monotonic */
    } * items;
    size_t count, cap;
};

enum { OUTBOX_PG_BLOCKED_MAX = 10000 };

/* `clear` forgets all keys and keeps the list's memory, `release` frees that too. */
void outbox_pg_blocked_release(struct outbox_pg_blocked *b);
void outbox_pg_blocked_clear(struct outbox_pg_blocked *b);
/* Blocks the key until until_us (monotonic). A key that is there keeps the later of both times.
 * False, and nothing is added, when OUTBOX_PG_BLOCKED_MAX keys are blocked already. */
bool outbox_pg_blocked_add(struct outbox_pg_blocked *b, struct slice key, int64_t until_us);
bool outbox_pg_blocked_has(const struct outbox_pg_blocked *b, struct slice key);
/* Forgets the keys whose time has come. */
void outbox_pg_blocked_expire(struct outbox_pg_blocked *b, int64_t now_us);
/* The earliest until_us; DEADLINE_NEVER if empty. */
int64_t outbox_pg_blocked_next(const struct outbox_pg_blocked *b);
/* Replaces `out` with all blocked keys, as the text of a PostgreSQL array. */
void outbox_pg_blocked_array(const struct outbox_pg_blocked *b, struct buf *out);
