/*
 * The cursor text of position mode: "p1 <s1> <s2 or -> <high> <hi> <last>". Pure; any thread.
 *
 * s1: everything it shows is delivered; s2: the upper snapshot of the window that is being
 * delivered, in seq order, up to `last`. high and hi are only hints where to look
 * (position.c).
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

/* What orders below every row. */
#define OUTBOX_PG_LOWEST INT64_MIN
/* A snapshot that shows nothing. */
#define OUTBOX_PG_NOTHING_VISIBLE "1:1:"

struct outbox_pg_cursor {
    struct slice s1, s2; /* s2 null: no window is open */
    int64_t high, hi, last;
};

/* pg_snapshot's text form, xmin:xmax:xip,xip...; false if it is not one. */
bool outbox_pg_snapshot_parse(struct slice text, uint64_t *ret_xmin, uint64_t *ret_xmax);

/* A decimal number and nothing else. */
/* What a person may give as a position: beginning, now or a seq. CONFIG. */
int outbox_pg_check_position(const char *text, struct error *err) MUST_CHECK;

bool outbox_pg_number(struct slice text, int64_t *ret);

/* Slices point into `text`. */
bool outbox_pg_cursor_parse(struct slice text, struct outbox_pg_cursor *ret);

/* All but the last field, with the blank before it: what the events of a batch share. */
void outbox_pg_cursor_prefix(const struct outbox_pg_cursor *c, struct buf *out);
void outbox_pg_cursor_text(const struct outbox_pg_cursor *c, struct buf *out);
void outbox_pg_add_int(struct buf *out, int64_t v);

/* For source_ops.describe: every mode's cursor. */
void outbox_pg_cursor_describe(struct slice cursor, struct buf *out);
