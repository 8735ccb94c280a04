/*
 * A snapshot. The initial one is every row of the published tables as it was at one LSN. Several
 * connections read the rows in chunks by key. They are given out in one fixed order: tables by
 * schema and name, rows by key.
 *
 * First run: all connections import the snapshot that was exported when the slot was created, so
 * the stream goes on exactly behind it. After an interruption: what is left of a table with a key
 * is read between a low and a high watermark (resume.h), while the stream goes on; a table without
 * a key starts again (bare.h). Rows of an outbox are read first, in a new snapshot, and the stream
 * waits.
 *
 * One that was asked for while the stream goes on (requests.h) is read as an interrupted one.
 *
 * Nothing here waits but snapshot_open and snapshot_check. All calls on the pipeline's thread, but
 * that snapshot_open may be called by another one, which hands the snapshot over (opening.h).
 */
#pragma once

#include "base/arena.h"
#include "base/poll_set.h"
#include "cdc/conf.h"
#include "cdc/decode/catalog.h"
#include "cdc/snapshot/requests.h"
#include "model/event.h"

struct snapshot;

struct snapshot_options {
    const struct cdc_conf *conf;
    const char *pipeline;
    const char *slot, *publication;
    struct slice database;
    uint64_t system_id, lsn; /* the slot's consistent point; part of the rows' identity */
    const char *exported;    /* name of the exported snapshot; NULL: go on with `state` */
    struct slice state; /* of an interrupted snapshot (cursor.snapshot); null at the first run */
    int64_t connect_timeout_us, read_timeout_us;
    int stop_fd;
    bool plain_money; /* as in change_shape */
    bool as_outbox;   /* rows are outbox rows */
    /* One that was asked for while the stream goes on (requests.h): only the tables of this
     * request, and `state` is its place; both only need to live during the call. NULL: the initial
     * snapshot. */
    const struct snapshot_request *request;
};

/* Opens the connections, plans the tables and begins to read. Once this returns, the connection
 * that exported the snapshot may be used for something else. What *opt points to must outlive *ret,
 * which the caller closes. Waits. RETRY: a table is locked or was altered just now. CONFIG: a grant
 * is missing, a request cannot be done (snapshot_check), or an interrupted snapshot would go on on
 * a standby. FATAL/69: `state` cannot be read. */
int snapshot_open(const struct snapshot_options *opt, struct snapshot **ret,
                  struct error *err) MUST_CHECK;
void snapshot_close(struct snapshot *s); /* NULL is fine */

/* One row handed out: the table (borrowed until snapshot_close), its cells (in `arena`), its marks.
 */
struct snapshot_row {
    const struct change_table *table;
    const struct cell *cells;
    enum snapshot_mark mark;
    uint64_t lsn;     /* identity of the row together with its key */
    uint64_t number;  /* of the row in its table, from 1: identity where there is no key */
    int64_t taken_us; /* wall clock: when the first run began */
};
/* The next row. DONE with *ret_end true: there is none, the snapshot is complete. AGAIN: the server
 * has not sent it yet, or the stream has to go on first. RETRY: a table was altered, dropped or
 * locked; the source starts over with a new plan. */
int snapshot_next(struct snapshot *s, struct arena *arena, struct snapshot_row *ret, bool *ret_end,
                  struct error *err) MUST_CHECK;

/* What to wait for after AGAIN, apart from the stream. */
void snapshot_poll_fds(struct snapshot *s, struct poll_set *set);

/* --- an interrupted snapshot goes on beside the stream (resume.h) --- */

/* Can the request of *opt be done? What snapshot_open would refuse is refused here too, with
 * nothing read: CONFIG (77: SELECT is missing) names the table or the predicate, and the remedy.
 * RETRY: the server cannot be reached, or a table is locked. Waits. */
int snapshot_check(const struct snapshot_options *opt, struct error *err) MUST_CHECK;

#define SNAPSHOT_WATERMARK_PREFIX "commitrelay_watermark"

/* In this case the source reads the stream as well, with logical messages, and tells the snapshot
 * what it sees by the calls below. snapshot_next answers AGAIN where the stream has to go on first.
 */

/* True: the stream has to stop here. No further message of it may be taken until snapshot_next has
 * given its rows, or has read what it needs. To be asked after each message. Always
 * true in a first run and for an outbox: there the stream waits until the snapshot is complete. */
bool snapshot_holds(const struct snapshot *s);

/* A transaction begins; commit_lsn is that of its commit record. To be called before its changes.
 */
void snapshot_begin(struct snapshot *s, uint32_t xid, uint64_t commit_lsn);

/* The stream brought a transactional logical message with the prefix above; `content` is its body.
 * A watermark of somebody else is ignored. */
void snapshot_watermark(struct snapshot *s, struct slice content);

/* The stream inserted, updated or deleted a row; `before` and `after` may be NULL. Cells of `after`
 * that the server left out are filled (copied into `arena`) where the snapshot knows them. False:
 * the snapshot will give all rows of this table with this change in them, so the event is left out.
 * snapshot_truncated: the same for a TRUNCATE. */
bool snapshot_row_changed(struct snapshot *s, const struct change_table *table,
                          const struct cell *before, struct cell *after, struct arena *arena);
bool snapshot_truncated(struct snapshot *s, const struct change_table *table);

/* Appends to `out` where the snapshot stands behind the row given last, for the cursor (state.h).
 */
void snapshot_state(const struct snapshot *s, struct buf *out);

/* "snapshot: orders (table 2 of 5): 120000 rows in all of about 1000000 (12 %), about 40 s left":
 * for log and status. "" when the snapshot is over. */
void snapshot_progress(const struct snapshot *s, char *out, size_t size);
