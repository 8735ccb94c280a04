/*
 * Where the stream stands: the transaction that is being received, how many of its changes have
 * come, and what of it was delivered before a restart.
 *
 * The server sends whole transactions in the order of their commit records and starts again at the
 * first one whose commit record is not before the LSN asked for. So a place is (commit LSN, number
 * of the change within the transaction): it is the same on every resend. LSNs of changes are never
 * compared: COPY gives many rows one LSN. Plain values, no I/O; also for a transaction that was
 * spooled while in progress and is replayed at its commit.
 */
#pragma once

#include "cdc/cursor.h"

/* Delivered: the changes 1..ordinal of the transaction with this commit record, and the first
 * `part` messages of the next change. commit 0: nothing. */
struct txn_place {
    uint64_t commit, ordinal;
    uint32_t part;
};

struct txn {
    bool open;
    uint64_t start;    /* everything that ended before it was handed out */
    uint64_t last_end; /* end of the transaction before this one; 0 unknown */
    uint64_t commit;   /* open: start of its commit record */
    uint64_t ordinal;  /* open: changes (and transactional messages) received, before any filter */
    int64_t commit_us;
    uint32_t xid;
    struct txn_place delivered; /* before the restart; until that transaction has passed */
};

/* What follows goes on behind `c`. Ordinals that were counted under other options mean nothing
 * now: then the transaction begins anew. */
void txn_reset(struct txn *t, const struct cdc_cursor *c, bool same_options);

/* False for what no server sends: one inside another, an end without a beginning or of another
 * transaction. */
bool txn_begin(struct txn *t, uint64_t commit, int64_t commit_us, uint32_t xid);
bool txn_commit(struct txn *t, uint64_t commit, uint64_t end);

/* Counts a change; false outside a transaction. */
bool txn_count(struct txn *t);

/* Was message `part` (from 0) of the change counted last delivered before the restart? */
bool txn_was_delivered(const struct txn *t, uint32_t part);

/* The server has sent all that ended before `wal_end`: with no transaction open, everything before
 * it was handed out. True when that is further than was known. */
bool txn_idle_at(struct txn *t, uint64_t wal_end);

/* What is delivered once message `part` of the change counted last is. `last`: the change has no
 * further message. */
struct txn_place txn_place_behind(const struct txn *t, uint32_t part, bool last);

/* What is delivered once everything handed out is. */
struct txn_place txn_place_now(const struct txn *t);
