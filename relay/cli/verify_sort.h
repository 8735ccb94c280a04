/*
 * What `verify` compares, sorted by event id (of table changes by row) on disk. Both sides come in
 * an order of their own (the rows by seq, the messages partition by partition), and there may be
 * many millions of each; so they are written into a temporary SQLite database, and its sort, which
 * works in runs on disk, brings together what has one id. Memory is bounded by SORT_MEMORY, twice.
 *
 * Main thread. Errors are those of db/sqlite.h.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

/* Where an item comes from, in the order in which those of one id come. */
enum verify_side { VERIFY_ROW, VERIFY_LETTER, VERIFY_COPY };

enum { VERIFY_DIGEST = 32 }; /* hex digits: the first half of a SHA-256 */

struct verify_item {
    struct slice id; /* null: a copy without one */
    enum verify_side side;
    /* Of the payload; null: not known, and not compared. */
    struct slice digest;
    /* Of table changes: what happened to the row, when (source_ops.when), and `digest` has its
     * columns (verify_change.h). Else 0 and null. */
    int op;
    struct slice when;
    int64_t created_us; /* TIME_NONE: unknown */
    bool late;          /* created_us is only known to be no earlier than created_at */
    bool replayed;      /* a copy that a replay has sent */
    int64_t number;     /* of a row its position, of a copy the number at its place */
    int64_t place;      /* of a copy; for verify_sort_place */
};

struct verify_sort;

int verify_sort_new(struct verify_sort **ret, struct error *err) MUST_CHECK;
void verify_sort_free(struct verify_sort *s); /* NULL is fine */

/* Writes it down. `place`: where a copy lies, for people; NULL for other items. */
int verify_sort_add(struct verify_sort *s, const struct verify_item *item, const char *place,
                    struct error *err) MUST_CHECK;

/* Gives every item, by id, side and `when`; what it points to lives during the call. An answer of
 * `each` other than DONE ends the walk and is passed on. Called once. */
int verify_sort_walk(struct verify_sort *s,
                     int (*each)(void *ctx, const struct verify_item *item, struct error *err),
                     void *ctx, struct error *err) MUST_CHECK;

/* Appends the text of a place. */
int verify_sort_place(struct verify_sort *s, int64_t place, struct buf *out,
                      struct error *err) MUST_CHECK;

/* Notes that the event is missing; may be called in the walk. */
int verify_sort_miss(struct verify_sort *s, struct slice id, int64_t position,
                     struct error *err) MUST_CHECK;
/* Appends the ids of at most `limit` missing events behind the position *after, by position, each
 * with a NUL behind it. *ret_count: how many; *after: the position of the last one. */
int verify_sort_missing(struct verify_sort *s, int64_t *after, size_t limit, struct buf *out,
                        size_t *ret_count, struct error *err) MUST_CHECK;
