/*
 * An interrupted snapshot goes on, while the stream goes on as well.
 *
 * The exported snapshot died with its connection, and the tables have changed since. What is left
 * of a table with a key is read in chunks, each between two watermarks: transactional logical
 * messages with a number that nobody else uses, the high one of a chunk being the low one of the
 * next.
 *
 *   1. Emit the low watermark. When the stream shows it, the stream is held: all that committed
 *      before it was handed out, nothing behind it.
 *   2. Take a snapshot S that sees every transaction streamed so far. That is not a matter of
 *      course: a commit is in the WAL, and so in the stream, before it is visible (and for as long
 *      as it waits for a synchronous standby). So the xids that were streamed are compared with S;
 *      if one is not visible, S is given back and taken again a moment later. Xids streamed by the
 *      process before this one are not known: whatever still runs and is older than our own first
 *      watermark is waited for too, but not for longer than OLD_GRACE_US. (That watermark has been
 *      through the same commit, the standby included, by then; what is still running is an open
 *      transaction, which was never streamed.)
 *   3. Read a chunk in S, into bounded memory. Emit the high watermark, let the stream go on.
 *   4. What the stream shows until the high watermark takes the rows it changes out of the chunk
 *      (snapshot_window).
 *   5. When the stream shows the high watermark, it is held again, and what is left is given out.
 *
 * No row is missing: a row that is not in S was deleted before (and streamed), or comes later (and
 * will be streamed). None goes back: what S sees committed before the high watermark was written,
 * so its changes were streamed before the row is given; and what S does not see is streamed behind
 * the low watermark, where it takes the row out.
 *
 * (What nobody fills: values stored out of line of a row whose key is changed, from one that is
 * still to be read to one that was read already, while the update leaves them alone.)
 *
 * kill -9 at any point: the cursor of each event says how far rows were given and where the stream
 * stood; what is in memory is read again, under new watermarks. Rows read again have the same id.
 *
 * Tables without a key have no rows that could give way, and so begin again: a temporary slot
 * exports a snapshot at an exact place of the stream. What the stream has of those tables before
 * that place is left out; there, all their rows are given. (The watermarks make sure that the
 * stream gets there.)
 *
 * A table is locked against a rewrite (ACCESS SHARE) before S is taken, because a rewritten table
 * looks empty to an older snapshot. One thread; nothing here waits but snapshot_resume_open.
 */
#pragma once

#include "cdc/snapshot/plan.h"
#include "cdc/snapshot/window.h"

struct snapshot_resume;

/* `rest` is where the state stands; `bare_done`: the tables without a key were given already. Waits
 * (for a slot, if there are tables without a key: as long as transactions are open, but bounded).
 */
int snapshot_resume_open(const struct snapshot_options *opt, const struct snapshot_plan *plan,
                         const struct snapshot_rest *rest, bool bare_done,
                         struct snapshot_resume **ret, struct error *err) MUST_CHECK;
void snapshot_resume_close(struct snapshot_resume *r); /* NULL is fine */

/* A row that is given; cells NULL: the snapshot is over. */
struct snapshot_resume_row {
    size_t table;
    const struct cell *cells;
    bool last;       /* of all */
    uint64_t lsn;    /* identity of the row; 0: the first run's */
    uint64_t number; /* in its table, where there is no key; else 0 */
};
int snapshot_resume_next(struct snapshot_resume *r, struct arena *arena,
                         struct snapshot_resume_row *ret, struct error *err) MUST_CHECK;
void snapshot_resume_poll_fds(struct snapshot_resume *r, struct poll_set *set);

/* Behind the row given last. */
const struct snapshot_rest *snapshot_resume_rest(const struct snapshot_resume *r);
bool snapshot_resume_bare_done(const struct snapshot_resume *r);

/* What the stream tells; see snapshot.h. */
bool snapshot_resume_holds(const struct snapshot_resume *r);
void snapshot_resume_begin(struct snapshot_resume *r, uint32_t xid, uint64_t commit_lsn);
void snapshot_resume_watermark(struct snapshot_resume *r, struct slice content);
bool snapshot_resume_covers(const struct snapshot_resume *r, const struct change_table *t);
struct snapshot_window *snapshot_resume_window(struct snapshot_resume *r);
