/*
 * The window: the rows of one chunk, from its low to its high watermark.
 *
 * Example: the chunk holds the rows 1, 2 and 3. Before the high watermark the stream updates row 2.
 * The stream's event is newer, so row 2 is taken out and only 1 and 3 are given. So the rows that
 * are left at the high watermark are as new as the stream.
 *
 * A row that was taken out is still kept. PostgreSQL leaves out large values that an update did not
 * touch (TOAST): they are filled from that row. The row takes over the values that the stream has,
 * so that the next update of the same row finds them.
 *
 * All calls on the pipeline's thread.
 */
#pragma once

#include "cdc/snapshot/plan.h"

enum { WINDOW_BYTES = 4 << 20 }; /* of values and keys; one row is taken whatever its size */

struct snapshot_window {
    const struct snapshot_table *table; /* NULL: no window is open */
    struct window_row {
        struct cell *cells;
        struct snapshot_key key;
        bool gone; /* taken out: not to be given */
    } * rows;
    size_t count, cap;
    size_t bytes;
    size_t *slots; /* by hash of the key: index + 1; 0 empty */
    size_t slots_count;
    size_t given; /* rows looked at by window_next */
    bool useless; /* a change could not be applied: nothing is given, the chunk is read again */
    struct arena arena;
};

/* window_init before all else; window_release frees what the window holds. window_open empties it
 * and begins a chunk of `t` (borrowed); NULL: no window is open. */
void window_init(struct snapshot_window *w);
void window_release(struct snapshot_window *w);
void window_open(struct snapshot_window *w, const struct snapshot_table *t);

/* Adds the first row of `row`, copied. False: the window is full and the row was not taken. */
bool window_add(struct snapshot_window *w, const struct pg_result *row);

/* The stream changed a row of table `t`; nothing happens if that is not the window's. NULL
 * `before`: an insert, or an update whose old row was not sent; NULL `after`: a delete. Left-out
 * cells of `after` are filled, copied to `arena`. If the key of the changed row is not known, or
 * the window has grown beyond twice WINDOW_BYTES, it becomes useless. window_truncate: all rows of
 * `t` are taken out. */
void window_change(struct snapshot_window *w, const struct change_table *t,
                   const struct cell *before, struct cell *after, struct arena *arena);
void window_truncate(struct snapshot_window *w, const struct change_table *t);

/* The next row that is left, or NULL; it stays the window's. *ret_last: no other is behind it. */
const struct window_row *window_next(struct snapshot_window *w, bool *ret_last);
