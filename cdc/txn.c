/* Counts the changes of each transaction, filtered or not, so that a change has the same number on
 * every resend. After a restart exactly those are skipped that the cursor says were delivered. */
#include "cdc/txn.h"

void txn_reset(struct txn *t, const struct cdc_cursor *c, bool same_options)
{
    *t = (struct txn){.start = c->start, .last_end = c->last};
    if (same_options) {
        t->delivered = (struct txn_place){c->commit, c->ordinal, c->part};
    }
}

bool txn_begin(struct txn *t, uint64_t commit, int64_t commit_us, uint32_t xid)
{
    if (t->open) {
        return false;
    }
    t->open = true;
    t->commit = commit;
    t->commit_us = commit_us;
    t->xid = xid;
    t->ordinal = 0;
    return true;
}

static void pass(struct txn *t, uint64_t end)
{
    t->start = end;
    if (t->delivered.commit < end) {
        t->delivered = (struct txn_place){0};
    }
}

/* The most bytes between the start and the end of a commit record. The server writes none of a
 * gigabyte, so a larger distance means a damaged message. */
static const uint64_t RECORD_MAX = UINT64_C(1) << 31;

bool txn_commit(struct txn *t, uint64_t commit, uint64_t end)
{
    if (!t->open || commit != t->commit || end <= commit || end - commit > RECORD_MAX) {
        return false;
    }
    t->open = false;
    t->last_end = end;
    pass(t, end);
    return true;
}

bool txn_count(struct txn *t)
{
    t->ordinal += t->open;
    return t->open;
}

bool txn_was_delivered(const struct txn *t, uint32_t part)
{
    const struct txn_place *d = &t->delivered;
    return t->commit == d->commit &&
           (t->ordinal <= d->ordinal || (t->ordinal == d->ordinal + 1 && part < d->part));
}

bool txn_idle_at(struct txn *t, uint64_t wal_end)
{
    if (t->open || wal_end <= t->start) {
        return false;
    }
    pass(t, wal_end);
    return true;
}

struct txn_place txn_place_behind(const struct txn *t, uint32_t part, bool last)
{
    return last ? (struct txn_place){t->commit, t->ordinal, 0}
                : (struct txn_place){t->commit, t->ordinal - 1, part + 1};
}

struct txn_place txn_place_now(const struct txn *t)
{
    const struct txn_place *d = &t->delivered;
    if (!t->open || (t->commit == d->commit && t->ordinal <= d->ordinal)) {
        return *d;
    }
    /* If only some messages of the change were delivered before the restart, the others have been
     * handed out by now, all in one batch. */
    return (struct txn_place){t->commit, t->ordinal, 0};
}
