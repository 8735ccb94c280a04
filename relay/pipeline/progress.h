/*
 * How far a pipeline has come since it started: what is settled (everything up to the ledger's
 * frontier), what of it is marked in the source, and what is saved in the store.
 *
 *   saved <= marked <= settled, counted in steps
 *
 * A step is one settled event, or one move of the cursor without an event (a slot that follows a
 * quiet stream, `position set`, a recovered commit). Both have to be saved, so both count; only
 * `events` leaves the moves out.
 *
 * The order is: mark first, save second, then confirm to the server. A batch file's intent counts
 * as done once its delivery number is saved, so its rows must be marked by then. This file keeps
 * the numbers, the keys and the cursor; settle.c talks to source and store.
 *
 * Embedded in the pipeline, used by its thread only. Memory running out aborts.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "model/event.h"

/* The keys of settled rows; their bytes are copies in `arena`. */
struct progress_keys {
    struct arena arena;
    struct slice *keys;
    size_t count, cap;
};

struct progress {
    bool marks_rows; /* rows are marked or deleted by key once their event is settled (status and
                        delete modes); without it whatever is settled counts as marked */

    uint64_t settled, marked, saved; /* steps */
    uint64_t events;                 /* settled events */
    uint64_t delivered; /* running delivery number of the last settled event; a dead letter has
                           none */
    uint64_t delivered_marked; /* the same of the last marked event: the number that is saved */

    /* Where the cursor comes from. After a settled event only the source can write its text, so it
     * is asked when the text is needed: cursor_stale says that `cursor` is older than the event. */
    struct buf cursor;
    bool cursor_stale;
    struct batch *last_batch; /* holds the last settled event, at last_index */
    size_t last_index;
    bool owns_last_batch; /* it has left the ledger */

    /* Marking. One set of keys collects while the source marks the other. */
    struct progress_keys keys[2];
    unsigned collecting;      /* which of the two collects */
    bool marking;             /* the source is at it */
    bool mark_lost;           /* the connection failed meanwhile: the same keys go again */
    uint64_t marking_settled; /* what `marked` becomes when that is done */
    uint64_t marking_delivered;

    /* Saving. */
    bool saving;
    uint64_t saving_steps;    /* what `saved` becomes when that is done */
    struct buf saving_cursor; /* what the save under way, or the last one, says */
};

void progress_init(struct progress *g, bool marks_rows);
void progress_release(struct progress *g); /* the last batch too, if it is owned */

/* One event has settled that was delivered: it gets the next delivery number. */
void progress_number(struct progress *g);

/* The row of a settled event is to be marked; the key is copied. */
void progress_add_key(struct progress *g, struct slice key);

/* So many more events have settled, the last of them is batch->events[index]; each of them was
 * given to progress_number and progress_add_key before, as far as it has a number and a row. With
 * `take_batch` the progress owns the batch from now on. With events == 0 (a batch that was cut)
 * only the owner changes. Returns the batch that was kept until now and is the caller's again, or
 * NULL. */
struct batch *progress_settle(struct progress *g, struct batch *batch, size_t index, size_t events,
                              bool take_batch) MUST_CHECK;

/* The cursor moves without an event, and no row has to be marked for it: one step that is to be
 * saved. */
void progress_move(struct progress *g, struct slice cursor);

/* An event was delivered that the source did not give: it gets the next delivery number, and the
 * cursor stays where it is. One step that is to be saved. */
void progress_beside(struct progress *g);

/* Data that reached its place although its cursor was not saved: one step, with the cursor set
 * before (progress_set_cursor) and the keys added before. Its rows have to be marked before it is
 * saved. */
void progress_recover(struct progress *g, uint64_t delivered);

/* What is stored counts, not what is in memory: nothing is left to mark or save. */
void progress_adopt(struct progress *g, struct slice cursor, uint64_t delivered);

/* The text of where the source goes on; no step. */
void progress_set_cursor(struct progress *g, struct slice cursor);

/* Steps whose rows are still to be marked: after a crash their events would be read again. */
uint64_t progress_unmarked(const struct progress *g);

/* Is there anything to mark? True: *ret_keys are the source's until progress_mark_done; those of a
 * lost mark come again first. Only while none is under way. */
bool progress_mark_begin(struct progress *g, const struct progress_keys **ret_keys);
void progress_mark_done(struct progress *g); /* the source has marked them */

/* Is there anything to save that is marked? False too while a save is under way. */
bool progress_may_save(const struct progress *g);
/* The store has begun to save `cursor` and `delivered_marked`. */
void progress_save_begun(struct progress *g);
void progress_save_done(struct progress *g); /* it is durable; saving_cursor may be confirmed */

/* The connection is gone. A save under way counts as not done, a mark goes again. */
void progress_connection_lost(struct progress *g);

/* All that is settled is marked and saved. */
bool progress_all_saved(const struct progress *g);
