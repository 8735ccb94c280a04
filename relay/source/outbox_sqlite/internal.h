/*
 * Private to the source outbox_sqlite: its configuration, its state, and the functions that its
 * files share.
 *
 * Only the pipeline's thread calls these functions. Functions that return int give RESULT_DONE, or
 * RESULT_ERROR with *err filled; AGAIN is named where it is possible. A lock of another process is
 * ERROR_RETRY with SQLite's busy code (sqlite_is_busy); it is waited for at most as long as the
 * connection's patience: a second at start, 20 ms later; of a command: read_timeout.
 */
#pragma once

#include "base/arena.h"
#include "contract/prune.h"
#include "contract/source.h"
#include "db/sqlite.h"
#include "source/outbox_sqlite/held.h"
#include "source/outbox_sqlite/wait.h"
#include "source/outbox_sqlite/watch.h"

/* outbox_sqlite_conf.mode */
enum { OUTBOX_SQLITE_POSITION, OUTBOX_SQLITE_DELETE };

/* The configured column names; "" where the table has no such column. A column that is named
 * explicitly (given) must be there. */
struct outbox_sqlite_columns {
    char *id, *aggregatetype, *aggregateid, *type, *payload, *headers, *created_at, *seq;
    bool headers_given, created_at_given;
};

struct outbox_sqlite_conf {
    char *path, *table;
    int mode;
    struct outbox_sqlite_columns columns;
    char *order_by, *start_from;
    int64_t batch_size, poll_interval_us, read_timeout_us;
    struct prune_settings prune;
};

/* conf.c */
extern const struct conf_key outbox_sqlite_keys[];
/* The operations of the configured mode; static, never NULL. */
const struct outbox_sqlite_mode *outbox_sqlite_mode(const struct outbox_sqlite_conf *conf);

/* See source_ops.clash, source_ops.store_url and source_ops.timeouts. */
bool outbox_sqlite_clash(const struct pipeline_of *a, const struct pipeline_of *b,
                         struct buf *ret_what);
void outbox_sqlite_store_url(const void *conf, struct buf *out);
void outbox_sqlite_timeouts(const void *conf, int64_t *connect_us, int64_t *read_us);
void outbox_sqlite_rows(const void *conf, struct outbox_rows *ret); /* source_ops.rows */
const char *outbox_sqlite_prune_needless(const void *conf);         /* prune_ops.needless */

/* What was found out about the table, and the SQL that follows from it. Texts live in `arena`. */
struct outbox_sqlite_table {
    struct arena arena;
    const char *name; /* as the schema spells it, which is how sqlite_sequence knows it */
    const char *key;  /* the column of the row id, or a name of it */
    bool by_key;      /* rows are delivered in the order of the key */
    bool payload_json;
    /* The statements, with their parameters: page(after, limit), fetch(key), fetch_slim(key)
     * without values that may be large, next_key(after), list(up to key) or without by_key
     * list(limit), remove(key, id), left(key, id): is the row still there, count(after, limit),
     * lowest, highest, aged(after, limit): keys with created_at, NULL if the table has no such
     * column. Every key is a 64-bit row id. */
    const char *page, *fetch, *fetch_slim, *next_key, *list, *remove, *left, *count, *lowest,
        *highest, *aged;
};

/* The columns of a page or fetch, in this order; the env's further columns follow. */
enum {
    COL_KEY,
    COL_ID,
    COL_TYPE,
    COL_AGGREGATETYPE,
    COL_AGGREGATEID,
    COL_CREATED_AT,
    COL_HEADERS,
    COL_PAYLOAD,
    COL_FURTHER
};

/* A row to be deleted, by row id and event id. */
struct outbox_sqlite_key {
    int64_t key;
    struct slice id; /* null: the row has none */
};

struct outbox_sqlite {
    const struct outbox_sqlite_conf *conf;
    const struct outbox_sqlite_mode *mode;
    const struct source_env *env;
    struct sqlite *db;
    struct outbox_sqlite_table table;
    struct sqlite_stmt *page, *fetch, *fetch_slim, *next_key, *list, *remove, *left, *fence, *count;
    struct sqlite_stmt *sequence, *data_version, *schema_version;
    struct outbox_sqlite_watch watch;
    /* Of the database file; "" until known. `start` does not clear it, so that a replaced file is
     * noticed. */
    char identity[64];
    int64_t epoch;
    int64_t last;  /* highest key given; in delete mode INT64_MIN while nothing is in flight */
    int64_t shown; /* the last key given, for people */
    int64_t seen_schema;
    /* Polling: when to look for new rows. Times are monotonic, in microseconds. */
    bool caught_up;
    /* PRAGMA data_version before the read that found nothing: while it stays the same there is
     * nothing new */
    int64_t seen_version;
    int64_t interval_us, next_poll_us;
    /* Reading and deleting wait separately, because a lock may allow the one and not the other. */
    struct outbox_sqlite_wait read_wait, ack_wait;
    /* Delete mode. */
    struct outbox_sqlite_held held;
    int64_t probed_version; /* data_version before the last look for rows below `last` */
    bool probe;             /* look below `last` again even if data_version is the same */
    /* The rows of the `ack` under way: the first acks_done of acks_count are deleted. */
    struct arena ack_arena;
    struct outbox_sqlite_key *acks;
    size_t acks_count, acks_done;
    /* For source_ops.lag. */
    int64_t pending, pending_at_us, oldest_us;
};

/* The first letter of a cursor tells which mode has made it. */
enum { OUTBOX_SQLITE_LETTER_POSITION = 's', OUTBOX_SQLITE_LETTER_DELETE = 'd' };

/* The operations in which the modes differ. Other code calls them and does not ask which mode is
 * configured. */
struct outbox_sqlite_mode {
    char letter;   /* the first one of its cursors: OUTBOX_SQLITE_LETTER_ */
    unsigned caps; /* SOURCE_*, beside those that both modes have */
    /* True (position mode): rows stay and are given in the order of a number that is never used
     * twice, so the cursor says where to go on. False (delete mode): every row in the table is
     * undelivered, and is deleted once it is delivered. */
    bool has_positions;
    /* Continues behind row `last` of a cursor that was made by the mode with this letter. The table
     * is inspected. CONFIG or FATAL if this could lose or repeat events. */
    int (*go_on)(struct outbox_sqlite *s, char letter, int64_t last, struct error *err);
    /* Adds the next rows to the batch; none: caught up. `version`: data_version before this read.
     */
    int (*read)(struct outbox_sqlite *s, int64_t version, struct batch *batch, size_t max_events,
                size_t max_bytes, struct error *err);
};

/* cursor.c, delete.c */
extern const struct outbox_sqlite_mode outbox_sqlite_position_mode, outbox_sqlite_delete_mode;

/* table.c: inspects the table of the configuration and reports each fault. `table` is usable if
 * *ret_faults is 0; the caller releases its arena in either case. RETRY for locks and I/O. */
int outbox_sqlite_inspect(const struct outbox_sqlite *s, struct sqlite *db,
                          struct outbox_sqlite_table *table, finding_report *report, void *ctx,
                          unsigned *ret_faults, struct error *err) MUST_CHECK;

/* connect.c: opens the file, reads its identity (stored with the relay's tables, commitrelay_meta)
 * and inspects the table, unless that was done. May wait up to a second for each lock. CONFIG for
 * the first fault of the table; FATAL if the file is another one than before. */
int outbox_sqlite_connect(struct outbox_sqlite *s, struct error *err) MUST_CHECK;
/* Closes the file and frees the statements. May be called twice. */
void outbox_sqlite_disconnect(struct outbox_sqlite *s);
/* Inspects the table again and prepares the statements. CONFIG for the first fault. */
int outbox_sqlite_look(struct outbox_sqlite *s, struct error *err) MUST_CHECK;
/* Called after an error. "The database is locked" becomes AGAIN, with a new attempt in 5 ms, until
 * read_timeout has passed; another error stays ERROR. */
int outbox_sqlite_busy(struct outbox_sqlite *s, struct outbox_sqlite_wait *wait,
                       struct error *err) MUST_CHECK;
/* range_sql.c */
/* Appends the SQL conditions for the rows of the range, each with " AND " before it; with
 * `delivered` also that the frontier has passed them (unless it gives every row). */
void outbox_sqlite_add_range(const struct outbox_sqlite_conf *conf, const char *key,
                             const struct source_range *range, bool delivered, struct buf *out);
/* Appends the value as an SQL literal. */
void outbox_sqlite_add_text(struct buf *out, const char *text);
void outbox_sqlite_add_int(struct buf *out, int64_t v);
/* The last row id that was delivered; INT64_MIN: none. */
int64_t outbox_sqlite_frontier_of(const struct source_range *range);

/* range.c: reads a piece of the table for `replay` and `tail`, in the place of the configured mode.
 */
extern const struct outbox_sqlite_mode outbox_sqlite_range_mode;
/* See source_ops.survey and source_ops.recent; frontier is in cursor.c. */
int outbox_sqlite_survey(void *source, const struct source_range *range, struct source_survey *ret,
                         struct error *err);
int outbox_sqlite_frontier(void *source, struct slice cursor, struct buf *out, struct error *err);
int outbox_sqlite_recent(void *source, int64_t n, struct buf *ret_cursor, struct error *err);
/* See source_ops.holds. */
int outbox_sqlite_holds(void *source, const char *const *ids, size_t n,
                        int (*each)(void *ctx, struct slice id), void *ctx, struct error *err);

/* rows.c: copies the statement's current row into the batch as an event, which the batch owns.
 * *ret_full: it did not fit into max_bytes and was not added. slim: the values that may be large
 * are missing. */
void outbox_sqlite_add_row(struct outbox_sqlite *s, struct sqlite_stmt *row, struct batch *batch,
                           size_t max_bytes, bool slim, bool *ret_full);
/* Adds the row with this key, or nothing if it is gone. A row with a value too large to load
 * becomes a poison event. */
int outbox_sqlite_fetch(struct outbox_sqlite *s, int64_t key, struct batch *batch, size_t max_bytes,
                        bool *ret_full, struct error *err) MUST_CHECK;
/* Adds rows with a key above s->last, the lowest first, and moves s->last. */
int outbox_sqlite_page(struct outbox_sqlite *s, struct batch *batch, size_t max_events,
                       size_t max_bytes, struct error *err) MUST_CHECK;

/* delete.c: see source_ops.ack. CONFIG: a trigger keeps a delivered row. FATAL: another relay has
 * taken over, or a key is not of this source. */
int outbox_sqlite_ack(void *source, const struct slice *keys, size_t n,
                      struct error *err) MUST_CHECK;

/* cursor.c */
/* Sets the position from the cursor, or from start_from if there is none. FATAL for a cursor that
 * does not fit this database; CONFIG for a start_from that cannot be used. */
int outbox_sqlite_resume(struct outbox_sqlite *s, struct slice cursor,
                         struct error *err) MUST_CHECK;
/* Position mode: FATAL if `last` is higher than any row id that the table has ever given out, as
 * after a restore. */
int outbox_sqlite_check_sequence(struct outbox_sqlite *s, int64_t last,
                                 struct error *err) MUST_CHECK;
/* CONFIG if `text` is not a position that people may give in `mode`. No I/O. */
int outbox_sqlite_check_position(const struct outbox_sqlite_conf *conf,
                                 const struct outbox_sqlite_mode *mode, const char *text,
                                 struct error *err) MUST_CHECK;
/* *ret_last: the row id behind which delivery goes on from the position `text` (beginning, now, a
 * row id). CONFIG if it is ahead of the table. */
int outbox_sqlite_place(struct outbox_sqlite *s, const char *text, int64_t *ret_last,
                        struct error *err) MUST_CHECK;
/* Appends the cursor behind row `last`. */
void outbox_sqlite_cursor_text(const struct outbox_sqlite *s, int64_t last, struct buf *out);
/* See source_ops.cursor, .position, .resumes, .accepts and .describe. */
void outbox_sqlite_cursor(void *source, const struct batch *batch, size_t index, struct buf *out);
int outbox_sqlite_position(void *source, const char *text, struct buf *ret_cursor,
                           struct error *err) MUST_CHECK;
int outbox_sqlite_resumes(void *source, struct slice cursor, struct error *err) MUST_CHECK;
int outbox_sqlite_accepts(void *source, struct slice cursor, struct slice last_position,
                          struct slice last_id, struct error *err) MUST_CHECK;
/* The row id behind which the cursor goes on; INT64_MIN (before all rows) if it is null or not
 * valid. */
int64_t outbox_sqlite_cursor_last(struct slice cursor);
/* Is it a cursor of position mode that was made in this database? */
bool outbox_sqlite_cursor_is_ours(const struct outbox_sqlite *s, struct slice cursor);
void outbox_sqlite_describe(struct slice cursor, struct buf *out);

/* open.c: see source_ops. */
int outbox_sqlite_open(const void *conf, const struct source_env *env, void **ret_source,
                       unsigned *ret_caps, struct error *err) MUST_CHECK;
void outbox_sqlite_close(void *source);

/* prune.c */
extern const struct prune_ops outbox_sqlite_prune;
/* Fills the CONFIG error for a table without created_at. */
int outbox_sqlite_refuse_prune(const struct outbox_sqlite_conf *conf, struct error *err);

/* check.c: see source_ops.check. */
int outbox_sqlite_check(void *source, finding_report *report, void *ctx,
                        struct error *err) MUST_CHECK;
