/*
 * The ledger decides what may be confirmed. It holds an event from the read until the event and all
 * before it are delivered. Acknowledgements may come in any order.
 *
 *   settled            open (put, not yet acknowledged)         waiting (read, not yet put)
 *   ...............|frontier .........................|next ..........................|end
 *
 * Example: events 1, 2 and 3 are put, and the sink acknowledges 1 and 3. Then 1 is settled, and
 * it is the frontier. 3 stays open until 2 is acknowledged, because a relay that crashes
 * now must read 2 again. Only settled events are saved, marked or confirmed.
 *
 * A token names one putting of one event: 64 bits, never reused. A rewind begins a new generation
 * of tokens: open events get new ones when they are put again, and a late report for an old token
 * completes nothing.
 *
 * The ledger owns the batches it holds. No I/O; no function here fails (memory running out aborts
 * the process). One thread.
 */
#pragma once

#include "model/event.h"
#include <stdbool.h>

struct ledger;

struct ledger *ledger_new(void);    /* empty; the caller's, freed with ledger_free */
void ledger_free(struct ledger *l); /* and the batches it still holds; NULL is fine */

/* Adds a batch's events behind all others; they wait. The batch must not be empty, and is the
 * ledger's from now on (its next pointer too). */
void ledger_admit(struct ledger *l, struct batch *take_batch);

/* A run of events that were taken from one batch. */
struct ledger_run {
    struct batch *batch;
    size_t from, to; /* batch->events[from..to) */
    uint64_t token;  /* of the first event, the next one has token + 1; 0 if they are settled */
    bool ends_batch; /* to == batch->count */
};

/* The waiting events that are to be put next, as far as they lie in one batch. False: nothing
 * waits, and *ret is untouched. The batch stays the ledger's. */
bool ledger_next(const struct ledger *l, struct ledger_run *ret);

/* The first n of what ledger_next gave were put; their tokens are run.token and following. */
void ledger_opened(struct ledger *l, size_t n);

/* An event was acknowledged; the frontier moves as far as it can. False: the token is of an earlier
 * generation or was completed before, and nothing changes. */
bool ledger_complete(struct ledger *l, uint64_t token);

/* The first of n tokens for events that are not of the ledger; never given again. Only while
 * nothing is open. */
uint64_t ledger_lone_tokens(struct ledger *l, size_t n);

/* Where the event of an open token lies: ret->batch->events[ret->from], a run of this one event.
 * False: the token is not open, and *ret is untouched. */
bool ledger_find(const struct ledger *l, uint64_t token, struct ledger_run *ret);

/* All open events wait again, those acknowledged behind a gap too. A new generation of tokens
 * begins: what is still reported for the old ones counts for nothing. */
void ledger_rewind(struct ledger *l);

/* Forgets the events that wait (they can be read again). Their memory stays until
 * ledger_free_dropped: some of them may have been put before a rewind, and the sink may still point
 * into them. Call ledger_free_dropped once the sink was started anew. */
void ledger_drop_waiting(struct ledger *l);
void ledger_free_dropped(struct ledger *l);

/* Takes settled events out: the next ones between what was taken so far and the frontier, as far as
 * they lie in one batch. False: there are none. With ends_batch the batch is the caller's from now
 * on. A run may be empty (from == to): the rest of its batch was dropped after it was taken. */
bool ledger_take_settled(struct ledger *l, struct ledger_run *ret);

/* Goes through the open events, oldest first, a run at a time; *iter starts at 0. False: no more.
 */
bool ledger_open_run(const struct ledger *l, uint64_t *iter, struct ledger_run *ret);

size_t ledger_open_count(
    const struct ledger *l); /* put and not settled (acknowledged behind a gap included) */
size_t ledger_waiting_count(const struct ledger *l); /* read, not put */
/* No transaction is under way: the last of the waiting events, if any, ends its own. */
void ledger_end_transaction(struct ledger *l);

/* How many events wait up to the last one that ends its transaction; 0: none does. */
size_t ledger_waiting_whole(const struct ledger *l);
size_t ledger_bytes(const struct ledger *l); /* of all that is not settled */
