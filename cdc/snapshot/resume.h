/*
 * An interrupted snapshot goes on, while the stream goes on as well.
 *
 * The exported snapshot died with its connection, and the tables have changed since. What is left
 * of a table with a key is read in chunks, each between two watermarks: transactional logical
 * messages with a number that nobody else uses, the high one of a chunk being the low one of the
 * next.
 *
 *   1. Emit the low watermark. When the stream shows it, the stream stops: all that committed
 *      before it was handed out, nothing behind it.
 *   2. Take a snapshot S that sees every transaction streamed so far. This has to be checked: a
 *      commit is in the WAL, and so in the stream, before it is visible (and for as long as it
 *      waits for a synchronous standby). So the xids that were streamed are compared with S;
 *      if one is not visible, S is given back and taken again a moment later. Xids streamed by the
 *      process before this one are not known: whatever still runs and is older than our own first
 *      watermark is waited for too, but not for longer than OLD_GRACE_US. (That watermark has been
 *      through the same commit, the standby included, by then; what is still running is an open
 *      transaction, which was never streamed.)
 *   3. Read a chunk in S, into bounded memory; with a predicate, the rows that it wants of a range
 * of keys that holds as many rows as a chunk. Emit the high watermark, let the stream go on.
 *   4. What the stream shows until the high watermark takes the rows it changes out of the chunk
 *      (snapshot_window).
 *   5. When the stream shows the high watermark, it stops again, and what is left is given out.
 *
 * No row is missing: a row that is not in S was deleted before (and streamed), or comes later (and
 * will be streamed). None goes back: what S sees committed before the high watermark was written,
 * so its changes were streamed before the row is given; and what S does not see is streamed behind
 * the low watermark, where it takes the row out.
 *
 * One gap is known. An update changes the key of a row from one that is still to be read to one
 * that is behind us, and leaves a large value (TOAST) alone. PostgreSQL does not send that value,
 * and the snapshot does not read the row any more, so the value is missing in the event.
 *
 * kill -9 at any point: the cursor of each event says how far rows were given and where the stream
 * stood; what is in memory is read again, under new watermarks. Rows read again have the same id.
 *
 * In a table without a key a change cannot be matched with the row it changes, so such a table
 * begins again: a temporary slot exports a snapshot at an exact place of the stream. What the
 * stream has of those tables before that place is left out; there, all their rows are given. (The
 * watermarks make sure that the stream gets there.)
 *
 * A table is locked against a rewrite (ACCESS SHARE) before S is taken, because a rewritten table
 * looks empty to an older snapshot. One thread; nothing here waits but snapshot_resume_open.
 */
#pragma once

#include "cdc/snapshot/plan.h"
#include "cdc/snapshot/window.h"

struct snapshot_resume;

/* Goes on with what `rest` says is left (copied). bare_done: the tables without a key were given
 * already. `opt` and `plan` must outlive *ret, which the caller closes. Waits; where tables without
 * a key are left, for a slot too: until the transactions open now have ended, at most
 * read_timeout_us. CONFIG: the server is a standby. Else as db/pg.h and snapshot_bare_open say. */
int snapshot_resume_open(const struct snapshot_options *opt, const struct snapshot_plan *plan,
                         const struct snapshot_rest *rest, bool bare_done,
                         struct snapshot_resume **ret, struct error *err) MUST_CHECK;
void snapshot_resume_close(struct snapshot_resume *r); /* NULL is fine */

/* A row that is given out; cells NULL: the snapshot is over. */
struct snapshot_resume_row {
    size_t table; /* index in the plan */
    const struct cell *cells;
    bool last;       /* no row is behind it, in any table */
    uint64_t lsn;    /* part of the row's identity; 0: the one of the first run */
    uint64_t number; /* from 1, of a row in a table without a key; else 0 */
};
/* The next row, its cells copied into `arena`. AGAIN: the stream has to go on first (then
 * snapshot_resume_holds is false), or the server has not answered yet. RETRY: the table was
 * altered, dropped or locked: the source starts over with a new plan. */
int snapshot_resume_next(struct snapshot_resume *r, struct arena *arena,
                         struct snapshot_resume_row *ret, struct error *err) MUST_CHECK;
/* What to wait for after AGAIN, apart from the stream. */
void snapshot_resume_poll_fds(struct snapshot_resume *r, struct poll_set *set);

/* What is left behind the row that was given last, and whether the tables without a key are over:
 * for the state in the cursor. Valid until the next call. */
const struct snapshot_rest *snapshot_resume_rest(const struct snapshot_resume *r);
bool snapshot_resume_bare_done(const struct snapshot_resume *r);

/* What the stream tells. See the functions of the same names in snapshot.h; _covers says whether
 * the snapshot will give all of table `t` with this change in it. */
bool snapshot_resume_holds(const struct snapshot_resume *r);
void snapshot_resume_begin(struct snapshot_resume *r, uint32_t xid, uint64_t commit_lsn);
void snapshot_resume_watermark(struct snapshot_resume *r, struct slice content);
bool snapshot_resume_covers(const struct snapshot_resume *r, const struct change_table *t);
struct snapshot_window *snapshot_resume_window(struct snapshot_resume *r);
