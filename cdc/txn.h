/*
 * Where the stream stands: which transaction is being received, how many of its changes have come,
 * and how much of it was delivered before a restart.
 *
 * The server sends whole transactions, in the order of their commit records. After a restart it
 * begins with the first transaction whose commit record is not before the LSN asked for. So a place
 * is (commit LSN, ordinal of the change within the transaction): it is the same on every resend.
 * The LSNs of changes cannot be used, because COPY gives many rows the same one.
 *
 * With encode.transaction_metadata the caller counts the beginning and the end of a transaction
 * like changes, for they are events, too.
 *
 * A transaction that was spooled while it was in progress is counted when it is replayed, at its
 * commit. Plain values, no I/O, one thread.
 */
#pragma once

#include "cdc/cursor.h"

/* What is delivered: of the transaction whose commit record is at `commit`, the changes 1 to
 * `ordinal`, and of the next change the first `part` messages. commit 0: nothing. */
struct txn_place {
    uint64_t commit, ordinal;
    uint32_t part;
};

struct txn {
    bool open;
    uint64_t start;    /* every transaction that ended at or before this LSN was handed out */
    uint64_t last_end; /* end of the transaction before this one; 0 unknown */
    uint64_t commit;   /* of the transaction received last: LSN of its commit record's start */
    uint64_t ordinal;  /* open: changes and transactional messages received, before any filter */
    int64_t commit_us; /* when it was committed, by the server's clock; Unix epoch */
    uint32_t xid;
    struct txn_place delivered; /* by the cursor; cleared once that transaction has passed */
};

/* Begins behind cursor `c`. Without same_options (another publication, for example) its ordinal was
 * counted in another way and means nothing now: then its transaction is given again from its first
 * change. */
void txn_reset(struct txn *t, const struct cdc_cursor *c, bool same_options);

/* BEGIN and COMMIT of the stream; `commit` and `end` are the LSNs where the commit record starts
 * and ends. False for what no server sends: a transaction inside another, or a COMMIT that does not
 * belong to the BEGIN. Believing it would move the position past what was not read. */
bool txn_begin(struct txn *t, uint64_t commit, int64_t commit_us, uint32_t xid);
bool txn_commit(struct txn *t, uint64_t commit, uint64_t end);

/* Counts a change or a transactional message. False outside a transaction: nothing is counted. */
bool txn_count(struct txn *t);

/* Was message `part` (from 0) of the change counted last delivered before the restart? With
 * UINT32_MAX: was all of that change delivered? */
bool txn_was_delivered(const struct txn *t, uint32_t part);

/* A keepalive said that everything before `wal_end` was sent. If no transaction is open, moves
 * `start` there and returns true. False: a transaction is open, or `start` is as far already. */
bool txn_idle_at(struct txn *t, uint64_t wal_end);

/* The place behind message `part` of the change counted last: what is delivered once that message
 * is. `last`: the change becomes no further message. */
struct txn_place txn_place_behind(const struct txn *t, uint32_t part, bool last);

/* The place behind everything that was handed out so far. */
struct txn_place txn_place_now(const struct txn *t);
