/*
 * The ledger decides what may be confirmed. It holds every event from the moment it was read until
 * nothing before it is undelivered any more, whatever order the acknowledgements come in.
 *
 *   settled            open (put, not yet acknowledged)         waiting (read, not yet put)
 *   ...............|frontier .........................|next ..........................|end
 *
 * Only settled events are saved, marked or confirmed. A token names one putting of one event: 64
 * bits, never reused, so that a report which comes after a rewind completes nothing. One thread.
 */
#pragma once

#include "model/event.h"
#include <stdbool.h>

struct ledger;

struct ledger *ledger_new(void);
void ledger_free(struct ledger *l); /* frees the batches it still holds */

/* Adds a batch's events behind all others; takes the batch over (its next pointer is the ledger's).
 */
void ledger_admit(struct ledger *l, struct batch *take_batch);

/* A run of events that were taken from one batch. */
struct ledger_run {
    struct batch *batch;
    size_t from, to; /* batch->events[from..to) */
    uint64_t token;  /* of the first, where it has one */
    bool ends_batch; /* to == batch->count */
};

/* The next events to put, as far as they lie in one batch. False: nothing waits. */
bool ledger_next(const struct ledger *l, struct ledger_run *ret);

/* The first n of what ledger_next gave were put; their tokens are run.token and following. */
void ledger_opened(struct ledger *l, size_t n);

/* An acknowledgement. False: the token is of an earlier generation or was completed before. */
bool ledger_complete(struct ledger *l, uint64_t token);

/* A token for one event that is not of the ledger; never given again. Only while nothing is open.
 */
uint64_t ledger_lone_token(struct ledger *l);

/* The event of an open token, NULL if it is not open. */
struct event *ledger_event(const struct ledger *l, uint64_t token);

/* All open events wait again, under new tokens; whatever is still reported for the old ones counts
 * for nothing. */
void ledger_rewind(struct ledger *l);

/* Forgets the events that wait (they can be read again). Their memory stays until
 * ledger_free_dropped: after a rewind an old generation of the sink may still point into it. */
void ledger_drop_waiting(struct ledger *l);
void ledger_free_dropped(struct ledger *l);

/* The next events between what was taken so far and the frontier, as far as they lie in one batch.
 * With ends_batch the batch is the caller's from now on. */
bool ledger_take_settled(struct ledger *l, struct ledger_run *ret);

/* Goes through the open events, oldest first, a run at a time; *iter starts at 0. */
bool ledger_open_run(const struct ledger *l, uint64_t *iter, struct ledger_run *ret);

size_t ledger_open_count(
    const struct ledger *l); /* put and not settled (acknowledged behind a gap included) */
size_t ledger_waiting_count(const struct ledger *l); /* read, not put */
size_t ledger_bytes(const struct ledger *l);         /* of all that is not settled */
