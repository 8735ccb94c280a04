/*
 * The cursor text of position mode: "p1 <s1> <s2 or -> <high> <hi> <last>".
 *
 *   s1        snapshot: every row it shows is delivered
 *   s2        snapshot at the upper end of the open window; "-" if none is open
 *   high      seq at which stragglers end and fresh rows begin (position.c); any value is right
 *   hi        highest seq that s2 shows: the open window ends there
 *   last      seq of the last row delivered in the open window; if none is open, of the last row
 *             delivered at all, for people
 *
 * Pure functions without memory of their own; any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

/* A seq below that of every row. */
#define OUTBOX_PG_LOWEST INT64_MIN
/* A snapshot in which no row is visible: delivery begins at the first row. */
#define OUTBOX_PG_NOTHING_VISIBLE "1:1:"

struct outbox_pg_cursor {
    struct slice s1, s2; /* s2 null: no window is open */
    int64_t high, hi, last;
};

/* Parses the text of a pg_snapshot, "xmin:xmax:xip,xip...". False if it is not one. */
bool outbox_pg_snapshot_parse(struct slice text, uint64_t *ret_xmin, uint64_t *ret_xmax);

/* Checks what a person gives as a position: beginning, now or a seq. Else CONFIG. */
int outbox_pg_check_position(const char *text, struct error *err) MUST_CHECK;

/* Parses a decimal number, with a minus sign or without. False if there is anything else, or if it
 * does not fit. */
bool outbox_pg_number(struct slice text, int64_t *ret);

/* False if the text is not a valid cursor. The slices of *ret point into `text`. */
bool outbox_pg_cursor_parse(struct slice text, struct outbox_pg_cursor *ret);

/* Appends the cursor up to `last`, the blank before it included. The events of a batch share this
 * part. */
void outbox_pg_cursor_prefix(const struct outbox_pg_cursor *c, struct buf *out);
/* Appends the whole cursor; or a number. */
void outbox_pg_cursor_text(const struct outbox_pg_cursor *c, struct buf *out);
void outbox_pg_add_int(struct buf *out, int64_t v);
/* Appends the number as a bigint in SQL. (A bare -9223372036854775808 is a numeric there.) */
void outbox_pg_add_literal(struct buf *out, int64_t v);

/* Appends what a cursor of any mode means to people: "beginning", "now", a seq, or the name of the
 * mode. For source_ops.describe. */
void outbox_pg_cursor_describe(struct slice cursor, struct buf *out);
