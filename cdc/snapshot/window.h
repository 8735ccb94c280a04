/*
 * The rows of one chunk between its low and its high watermark: what the stream changes in between
 * is taken out, so that what is left at the high watermark is as the stream left it.
 *
 * A row that gives way helps the stream once more: values that the stream leaves out because the
 * update did not touch them (TOAST) are filled from it, and it takes over the values the stream
 * has, for the next update of the same row. One thread.
 */
#pragma once

#include "cdc/snapshot/plan.h"

enum { WINDOW_BYTES = 4 << 20 }; /* of values and their keys; one larger row is still taken */

struct snapshot_window {
    const struct snapshot_table *table; /* NULL: no window is open */
    struct window_row {
        struct cell *cells;
        struct snapshot_key key;
        bool gone;
    } * rows;
    size_t count, cap;
    size_t bytes;
    size_t *slots; /* by hash of the key: index + 1; 0 empty */
    size_t slots_count;
    size_t given; /* rows looked at by window_next */
    bool useless; /* it cannot be told what changed: read the chunk again */
    struct arena arena;
};

void window_init(struct snapshot_window *w);
void window_release(struct snapshot_window *w);
void window_open(struct snapshot_window *w, const struct snapshot_table *t);

/* Takes a row (copied); false: it is full, and takes no more. */
bool window_add(struct snapshot_window *w, const struct pg_result *row);

/* The stream changed a row of the window's table. Either row may be NULL. Cells filled in `after`
 * are copied to `arena`. If `after` is an update whose left-out values are not known here, the
 * window becomes useless, and its chunk is read again. */
void window_change(struct snapshot_window *w, const struct change_table *t,
                   const struct cell *before, struct cell *after, struct arena *arena);
void window_truncate(struct snapshot_window *w, const struct change_table *t);

/* The next row that is left, or NULL. *ret_last: none is behind it. */
const struct window_row *window_next(struct snapshot_window *w, bool *ret_last);
