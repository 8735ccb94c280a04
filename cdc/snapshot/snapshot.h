/*
 * The initial snapshot: every row of the published tables as it was at one LSN, in chunks by key,
 * read by several connections, given out in one fixed order (tables by schema and name, rows by
 * key).
 *
 * First run: all connections import the exported snapshot of the slot's creation, so that the
 * stream goes on exactly behind it. Interrupted: what is left of a table with a key is read between
 * a low and a high watermark (logical messages), see snapshot_resume; a table without a key starts
 * again. Never waits after snapshot_open. One thread.
 */
#pragma once

#include "base/arena.h"
#include "base/poll_set.h"
#include "cdc/conf.h"
#include "cdc/decode/catalog.h"
#include "model/event.h"

struct snapshot;

struct snapshot_options {
    const struct cdc_conf *conf;
    const char *pipeline;
    const char *slot, *publication;
    struct slice database;
    uint64_t system_id, lsn; /* the slot's consistent point: identity of the rows */
    const char *exported;    /* name of the exported snapshot; NULL: an interrupted one goes on */
    struct slice state;      /* where it stood (cursor.snapshot), null at the first start */
    int64_t connect_timeout_us, read_timeout_us;
    int stop_fd;
    bool plain_money; /* as in change_shape */
    bool as_outbox;   /* rows are outbox rows */
};

/* Opens its connections and imports the snapshot; after that the exporting connection is free.
 * Waits. */
int snapshot_open(const struct snapshot_options *opt, struct snapshot **ret,
                  struct error *err) MUST_CHECK;
void snapshot_close(struct snapshot *s);

/* One row handed out: the table (borrowed until snapshot_close), its cells (in `arena`), its marks.
 */
struct snapshot_row {
    const struct change_table *table;
    const struct cell *cells;
    enum snapshot_mark mark;
    uint64_t lsn;     /* identity of the row together with its key */
    uint64_t number;  /* of the row in its table, from 1: identity where there is no key */
    int64_t taken_us; /* wall clock: when the snapshot was begun */
};
/* The next row; DONE with *ret_end: the snapshot is complete. AGAIN: on its way. */
int snapshot_next(struct snapshot *s, struct arena *arena, struct snapshot_row *ret, bool *ret_end,
                  struct error *err) MUST_CHECK;

void snapshot_poll_fds(struct snapshot *s, struct poll_set *set);

/* --- an interrupted snapshot goes on beside the stream (resume.h) --- */

#define SNAPSHOT_WATERMARK_PREFIX "commitrelay_watermark"

/* Then the source streams, with logical messages, and tells what it sees by the calls below.
 * snapshot_next answers AGAIN wherever the stream has to go on first. */

/* True: no further message of the stream may be taken until snapshot_next has given its rows for
 * this place, or has read what it needs. Asked behind each message. */
bool snapshot_holds(const struct snapshot *s);

/* The transaction with this commit record begins (told before its changes). */
void snapshot_begin(struct snapshot *s, uint32_t xid, uint64_t commit_lsn);

/* A transactional logical message with the prefix above. */
void snapshot_watermark(struct snapshot *s, struct slice content);

/* A row is inserted, updated or deleted; `before` and `after` may be NULL. Cells of `after` that
 * the server left out are filled where the snapshot knows them. False: the snapshot will give all
 * of this table with this change in it, and the event is left out. */
bool snapshot_row_changed(struct snapshot *s, const struct change_table *table,
                          const struct cell *before, struct cell *after, struct arena *arena);
bool snapshot_truncated(struct snapshot *s, const struct change_table *table);

/* The state behind the row given last, for the cursor. */
void snapshot_state(const struct snapshot *s, struct buf *out);

/* "orders: 120000 of about 1000000 rows (12 %), 40 s left": for log and status; "" when over. */
void snapshot_progress(const struct snapshot *s, char *out, size_t size);
