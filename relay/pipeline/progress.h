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
 * To mark is to record in the outbox table that the rows are done (status mode) or to delete them
 * (delete mode). The order is: mark first, save second, then confirm to the server. The file sink's
 * intent (its note of a commit under way) counts as done once its delivery number is saved, so its
 * rows must be marked by then; otherwise a crash would send them again. This file keeps the
 * numbers, the keys and the cursor; settle.c talks to source and store.
 *
 * Embedded in the pipeline, used by its thread only. No I/O; no function here fails. Memory running
 * out aborts the process.
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
    bool marks_rows; /* the source marks rows (SOURCE_ACK_KEYS); if not, whatever is settled counts
                        as marked at once */

    uint64_t settled, marked, saved; /* steps */
    uint64_t events;                 /* settled events */
    uint64_t delivered; /* running delivery number of the last settled event; a dead letter has
                           none */
    uint64_t delivered_marked; /* the same of the last marked event: the number that is saved */

    /* The cursor: the text from which the source goes on. Only the source can make it from an
     * event, and it is asked when the text is needed: cursor_stale says that `cursor` is older than
     * the last settled event, which is last_batch->events[last_index]. */
    struct buf cursor;
    bool cursor_stale;
    struct batch *last_batch; /* holds the last settled event, at last_index */
    size_t last_index;
    bool owns_last_batch; /* the ledger has given it away, so it is freed here */

    /* Marking. One set of keys collects while the source marks the other. */
    struct progress_keys keys[2];
    unsigned collecting;      /* which of the two collects */
    bool marking;             /* the source is marking the other set */
    bool mark_lost;           /* the connection failed meanwhile: the same keys are marked again */
    uint64_t marking_settled; /* what `marked` becomes when that is done */
    uint64_t marking_delivered; /* and delivered_marked */

    /* Saving. */
    bool saving;
    uint64_t saving_steps;    /* what `saved` becomes when that is done */
    struct buf saving_cursor; /* what the save under way, or the last one, says */
};

/* Everything at zero, no memory yet. */
void progress_init(struct progress *g, bool marks_rows);
void progress_release(struct progress *g); /* frees its memory, and the last batch if it owns it */

/* A settled event was delivered (it is not a dead letter): it gets the next delivery number. Comes
 * before its progress_settle. */
void progress_number(struct progress *g);

/* The row of a settled event is to be marked; the key is copied. Comes before its progress_settle.
 */
void progress_add_key(struct progress *g, struct slice key);

/* `events` more events have settled, the last of them is batch->events[index]. With `take_batch`
 * the progress owns the batch from now on. With events == 0 (the rest of the batch was dropped)
 * only the owner changes. Returns the batch that was owned until now, which is the caller's again;
 * or NULL if there was none. */
struct batch *progress_settle(struct progress *g, struct batch *batch, size_t index, size_t events,
                              bool take_batch) MUST_CHECK;

/* The owned batch, if the cursor is no longer made from it: it is the caller's. Else NULL. */
struct batch *progress_let_go(struct progress *g) MUST_CHECK;

/* The cursor (copied) moves without an event: one step that is to be saved. No row has to be marked
 * for it, so all that is settled must be marked already. */
void progress_move(struct progress *g, struct slice cursor);

/* Events were delivered that the source did not give: they get the next delivery numbers, and the
 * cursor stays where it is. One step that is to be saved. */
void progress_beside(struct progress *g, size_t events);

/* A commit was recovered: its data reached its place, but its cursor was not saved. One step; set
 * the cursor (progress_set_cursor) and add the keys before. Its rows are marked before it is saved.
 * `delivered`: the delivery number of its last event. */
void progress_recover(struct progress *g, uint64_t delivered);

/* Replaces what is in memory by what the store has: nothing is left to mark or save. */
void progress_adopt(struct progress *g, struct slice cursor, uint64_t delivered);

/* Sets the cursor (copied); this is no step. */
void progress_set_cursor(struct progress *g, struct slice cursor);

/* How many steps are settled and not marked: after a crash their events would be read again. */
uint64_t progress_unmarked(const struct progress *g);

/* Is there anything to mark? True: *ret_keys is to be marked, and stays valid until
 * progress_mark_done. The keys of a mark that was lost come again first. Only with marks_rows, and
 * while nothing is being marked (assert). */
bool progress_mark_begin(struct progress *g, const struct progress_keys **ret_keys);
void progress_mark_done(struct progress *g); /* the source has marked them */

/* Is there anything to save that is marked? False too while a save is under way. */
bool progress_may_save(const struct progress *g);

/* The store has begun to save `cursor` and `delivered_marked`. The cursor must not be stale
 * (assert). */
void progress_save_begun(struct progress *g);
void progress_save_done(struct progress *g); /* it is durable; saving_cursor may be confirmed */

/* The database connection is gone. A save that was under way counts as not done; a mark that was
 * under way is done again. */
void progress_connection_lost(struct progress *g);

/* All that is settled is marked and saved. */
bool progress_all_saved(const struct progress *g);
