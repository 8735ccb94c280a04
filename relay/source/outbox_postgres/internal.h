/*
 * Private to the source outbox_postgres: its configuration, its state, and the functions that its
 * files share.
 *
 * Only the pipeline's thread calls these functions. Functions that return int give RESULT_DONE, or
 * RESULT_ERROR with *err filled; AGAIN is named where it is possible. Lost connections are
 * ERROR_RETRY. "May wait" means waiting for the server, at most connect_timeout or read_timeout per
 * step.
 */
#pragma once

#include "base/arena.h"
#include "contract/part.h"
#include "contract/prune.h"
#include "contract/source.h"
#include "db/pg.h"
#include "source/outbox_postgres/cursor.h"
#include "source/outbox_postgres/keys.h"

/* outbox_pg_conf.mode */
enum { OUTBOX_PG_POSITION, OUTBOX_PG_STATUS, OUTBOX_PG_DELETE };

/* The columns whose names the configuration can map (source.columns). */
enum outbox_pg_column {
    OUTBOX_PG_ID,
    OUTBOX_PG_AGGREGATETYPE,
    OUTBOX_PG_AGGREGATEID,
    OUTBOX_PG_TYPE,
    OUTBOX_PG_PAYLOAD,
    OUTBOX_PG_HEADERS,
    OUTBOX_PG_CREATED_AT,
    OUTBOX_PG_SEQ,
    OUTBOX_PG_XID,
    OUTBOX_PG_COLUMNS
};

/* The configured name of each column, and whether the configuration gives it (false: the default).
 * A column that has a default name and is optional may be missing in the table. */
struct outbox_pg_names {
    char *name[OUTBOX_PG_COLUMNS];
    bool given[OUTBOX_PG_COLUMNS];
};

struct outbox_pg_conf {
    /* Strings belong to the configuration, which outlives the source. */
    char *url, *table;
    int mode;
    struct outbox_pg_names columns;
    char *order_by, *start_from;
    bool order_by_given;
    int64_t batch_size, poll_interval_us;
    bool poll_interval_given;
    char *notify_channel;
    int64_t shards; /* 1: it is not divided */
    char *shard_by;
    int64_t connect_timeout_us, read_timeout_us;
    struct prune_settings prune;
};

/* conf.c */
extern const struct conf_key outbox_pg_keys[];
/* The operations of the configured mode; static, never NULL. */
const struct outbox_pg_mode *outbox_pg_mode(const struct outbox_pg_conf *conf);
/* See source_ops.clash, source_ops.store_url and source_ops.timeouts. */
bool outbox_pg_clash(const struct pipeline_of *a, const struct pipeline_of *b,
                     struct buf *ret_what);
void outbox_pg_store_url(const void *conf, struct buf *out);
void outbox_pg_timeouts(const void *conf, int64_t *connect_us, int64_t *read_us);
void outbox_pg_rows(const void *conf, struct outbox_rows *ret); /* source_ops.rows */
void outbox_pg_divide(const void *conf, int *ret_shards, const char **ret_by);
const char *outbox_pg_prune_needless(const void *conf); /* prune_ops.needless */
/* Refuses combinations of settings that cannot work, without I/O. CONFIG names the setting. */
int outbox_pg_refuse_conf(const struct outbox_pg_conf *conf, const struct source_env *env,
                          struct error *err) MUST_CHECK;

/* A column of the real table. */
struct outbox_pg_found {
    const char *name; /* NULL: the table has no such column */
    const char *quoted;
    const char *type;     /* base type's name, below all domains: "int8", "jsonb" */
    int64_t length;       /* of varchar(n) and char(n); -1 without */
    uint32_t oid;         /* of the base type */
    int32_t typmod;       /* of the base type; -1 without */
    char category, kind;  /* of the base type: typcategory ('S' text, 'E' enum), typtype */
    const char *format;   /* for a cast: "bigint", "character varying(40)" */
    const char *fallback; /* its default expression, "" if none */
    bool not_null, may_select, may_update, unique, indexed;
    bool indexed_seq; /* an index holds it and, behind it, the column seq */
};

/* The columns that status mode writes (docs/OPERATIONS.md). */
enum outbox_pg_status_column {
    OUTBOX_PG_STATUS_STATUS,
    OUTBOX_PG_STATUS_ATTEMPTS,
    OUTBOX_PG_STATUS_LAST_ERROR,
    OUTBOX_PG_STATUS_NEXT_ATTEMPT_AT,
    OUTBOX_PG_STATUS_PUBLISHED_AT,
    OUTBOX_PG_STATUS_COLUMNS
};

/* What was found out about the table. All texts live in `arena`. */
struct outbox_pg_table {
    struct arena arena;
    const char *quoted;
    const char *oid, *user;
    bool partitioned, standby, may_delete;
    bool row_security; /* policies apply to the role: it would not see every row */
    /* What lets the role make and drop partitions, as a statement; "": it may. */
    const char *to_partition;
    struct outbox_pg_found column[OUTBOX_PG_COLUMNS];
    struct outbox_pg_found status[OUTBOX_PG_STATUS_COLUMNS];
    /* The time zone in which created_at is read; NULL: the column has a zone, or is no timestamp.
     */
    const char *zone;
    struct outbox_pg_found *further; /* the columns of env->columns, as many */
    size_t further_count;
    /* The column by which rows are marked or deleted: seq or id. Its value is the event's position.
     */
    const struct outbox_pg_found *key;
    const char *order; /* the list for "order by" without these words; "" for none */
    struct outbox_pg_found order_column; /* name NULL: none */
    /* " and ..." for a condition on table t: the row is of this pipeline's shard; "": all are. */
    const char *shard;
    int shards; /* how many there are; 1: it is not divided */
};

/* table.c: looks the table and its columns up and fills *t (its arena must be initialised; earlier
 * content is freed). CONFIG names what is missing and the setting that maps it. May wait. */
int outbox_pg_inspect(struct pg *c, const struct outbox_pg_conf *conf, const struct source_env *env,
                      struct outbox_pg_table *t, struct error *err) MUST_CHECK;
/* The same for `check`, which wants every fault: each one is reported through `each`. DONE with
 * *ret_faults above 0: the table cannot be used, and *t is filled in part only. */
int outbox_pg_inspect_all(struct pg *c, const struct outbox_pg_conf *conf,
                          const struct source_env *env, struct outbox_pg_table *t,
                          finding_report *each, void *ctx, size_t *ret_faults,
                          struct error *err) MUST_CHECK;
/* shard.c */
/* Fills t->shard and t->shards from env->store.part; part of the inspection. CONFIG if the column
 * of source.shard_by is not known. */
int outbox_pg_find_shard(const struct outbox_pg_conf *conf, const struct source_env *env,
                         struct outbox_pg_table *t, struct error *err) MUST_CHECK;
/* The column that decides about a row's shard; of the configuration. */
const char *outbox_pg_shard_by(const struct outbox_pg_conf *conf);
/* The same as the table has it; NULL: nothing that the relay reads is called so. */
const struct outbox_pg_found *outbox_pg_shard_column(const struct outbox_pg_conf *conf,
                                                     const struct outbox_pg_table *t);
/* Appends the number of which the remainder by N is the row's shard, for this column of table t. */
void outbox_pg_add_hash(const char *quoted, struct buf *out);
/* types.c: CONFIG for a column whose type cannot hold what the relay reads or writes there. May
 * wait. */
int outbox_pg_demand_types(struct pg *c, const struct outbox_pg_conf *conf,
                           const struct outbox_pg_table *t, struct error *err) MUST_CHECK;
/* demands.c: refuses a table on which the mode cannot keep its promise: missing rights (CONFIG),
 * wrong types, a sequence with a cache, rows of another cluster (FATAL), a standby (RETRY). May
 * wait. */
int outbox_pg_demand(struct pg *c, const struct outbox_pg_conf *conf, const struct source_env *env,
                     const struct outbox_pg_table *t, struct error *err) MUST_CHECK;
/* *ret: the name quoted for SQL, allocated in the arena. CONFIG when it cannot be a name. */
int outbox_pg_quote(struct arena *a, const char *name, const char **ret,
                    struct error *err) MUST_CHECK;

struct outbox_pg;

/* sql.c: builds the statement for one page of rows out of these pieces. */
struct outbox_pg_page_sql {
    const char *with; /* "with ... " or "" */
    const char *from; /* "<table> t join ..." */
    const char *where;
    const char *order; /* "" for none */
    /* SQL expression: microseconds until the row may be tried, null if it may be now */
    const char *due;
    /* Number of the LIMIT parameter. The guarded form has two more behind it: largest and budget.
     */
    int limit_param;
};

/* How the values of a page are asked for:
 *   ORDINARY  values that may be large are left out
 *   GUARDED   large values are measured, and the page ends when its budget is spent
 * The others are for a single row that the server cannot give in the usual way:
 *   ESCAPED   values as ASCII text with escapes
 *   BARE      escaped, without payload, headers and further columns
 *   KEY       the key alone */
enum outbox_pg_form { FORM_ORDINARY, FORM_GUARDED, FORM_ESCAPED, FORM_BARE, FORM_KEY, FORM_COUNT };
enum { FORM_GUARDED_PARAMS = 2 }; /* parameters that only this form has */
/* Replaces the content of `out` with the statement. `further` is the number of further columns. */
void outbox_pg_page_sql(const struct outbox_pg_table *t, size_t further,
                        const struct outbox_pg_page_sql *sql, enum outbox_pg_form form,
                        struct buf *out);
/* Appends the expression for created_at, converted from t->zone if the column has no zone. The
 * column must exist. */
void outbox_pg_add_created_at(const struct outbox_pg_table *t, struct buf *out);
/* Status and delete modes: the condition that is true for a row not yet sent. Static text. */
const char *outbox_pg_pending_where(const struct outbox_pg *s);
/* The name of the prepared statement (static text); `late`: the one that reads stragglers
 * (position.c). */
const char *outbox_pg_page_name(enum outbox_pg_form form, bool late);

/* The columns of a page's result, in this order; the further ones follow. */
enum {
    PAGE_KEY,
    PAGE_ID,
    PAGE_AGGREGATETYPE,
    PAGE_AGGREGATEID,
    PAGE_TYPE,
    PAGE_PAYLOAD,
    PAGE_HEADERS,
    PAGE_CREATED_AT,
    /* Null for an ordinary row. Else payload and headers may be large, and this is their size in
     * bytes: as stored (ordinary page) or as text (guarded page). */
    PAGE_BIG,
    PAGE_DUE,
    PAGE_FURTHER
};

/* Bytes that an event takes in memory beside its text: struct event, and about what routing and
 * encoding add. */
enum { OUTBOX_PG_EVENT_BYTES = 512 };

/* row.c: the size in bytes of a row's text, with a NUL for each value. */
size_t outbox_pg_row_bytes(const struct pg_result *r, size_t row, size_t further);
/* Adds the row to the batch as an event, which the batch owns. With copy > 0 (the size from
 * outbox_pg_row_bytes) the values are copied into the batch's arena. With 0 they point into `r`,
 * which must then live as long as the batch. Raw bytes (bytea) need a copy. max_event in bytes, 0:
 * no limit; a larger event gets `poison` and `partial`. */
struct event *outbox_pg_row_event(const struct pg_result *r, size_t row, size_t further,
                                  enum payload_kind kind, size_t max_event, size_t copy,
                                  struct batch *batch);
/* The kind of payload that a column of this base type holds. */
enum payload_kind outbox_pg_payload_kind(const char *type);

/* Which statement is on its way on the reader's connection. */
enum outbox_pg_sent {
    SENT_NOTHING,
    SENT_WINDOW,
    SENT_PAGE,
    SENT_COUNT,
    SENT_PARTITIONS,
    SENT_DAYS
};

/* position.c */
struct outbox_pg_window {
    struct buf s1, s2;
    int64_t high;  /* seq up to which rows are looked for as stragglers (position.c) */
    int64_t hi;    /* the highest seq that s2 shows */
    int64_t last;  /* seq of the last row given in this window; INT64_MIN: none */
    int64_t shown; /* seq of the last row given at all, for people */
    bool open, stragglers_done, given;
    bool with_page; /* the statement that opens the window also brings its first page */
    /* What the cursor says while a window has given nothing. It stays behind s1 while windows are
     * empty, so that an idle relay need not save a cursor after each poll. */
    struct buf base;
    int64_t base_high;
};

struct outbox_pg {
    const struct outbox_pg_conf *conf;
    const struct outbox_pg_mode *mode;
    const struct source_env *env;
    struct pg *reader, *mark;
    struct outbox_pg_table table;
    int64_t epoch;
    /* The page of rows: here, or on its way. There is at most one, so its budget bounds memory. */
    enum outbox_pg_sent sent;
    int64_t sent_us;
    struct pg_result *page;
    size_t row;
    bool page_guarded, page_big;
    bool page_full;     /* in this page more keys wait than can be remembered */
    bool more;          /* the last page was full or cut: the next one will hardly be empty */
    int64_t page_given; /* rows of the page that were given */
    int64_t page_limit;
    size_t page_budget, page_sum; /* in bytes; page_sum adds the sizes of a guarded page */
    /* Rows per page: batch_size, halved when the server cancels a page. */
    int64_t limit_cap;
    int64_t guarded_limit; /* rows of the next guarded page; 0: the next page is ordinary */
    /* When the server cannot give a page, its rows are asked for one by one. The row at fault is
     * then given as a poison event. */
    bool one_by_one;
    int64_t one_by_one_left;
    enum outbox_pg_form form;   /* of the page asked for */
    enum outbox_pg_form spoilt; /* how the next row is asked for; ORDINARY: like others */
    int64_t short_of_memory;    /* how often the server ran out of memory at this row */
    char unreadable[256];
    size_t budget, largest_row;
    unsigned good_pages;
    /* If `failed`: an error met outside of `read`; the next `read` returns it. */
    struct error deferred;
    bool failed;
    bool zone_told; /* the note about the zone is in the log already */
    /* Polling: when to look for new rows. Times are monotonic, in microseconds. */
    bool found_nothing, notified;
    int64_t interval_us, next_poll_us;
    /* For source_ops.lag. */
    int64_t pending; /* rows not given; -1: unknown */
    int64_t pending_at_us, oldest_us;
    char held_up[256];
    const struct pg *held_up_conn; /* the connection whose statement `held_up` describes */
    int64_t ask_at_us;
    struct outbox_pg_window window;
    struct buf partitions_seen; /* the snapshot in which the partitions were last looked at */
    int64_t partitions_us;
    bool days_next;    /* the next look is at the days, not at what was attached */
    char warning[256]; /* for source_ops.lag */
    /* Status and delete modes. */
    struct outbox_pg_held held;
    struct outbox_pg_blocked blocked;
    struct buf held_param, blocked_param, ack_param;
    /* The steps of an `ack`: MARK marks the rows; FENCE, if no row was touched, checks that this
     * relay still runs the pipeline; LOOK checks that no marked row is still pending. */
    enum outbox_pg_ack { ACK_NOTHING, ACK_MARK, ACK_FENCE, ACK_LOOK } ack_next, ack_running;
    int64_t ack_us;
};

/* The operations in which the modes differ. Other code calls them and does not ask which mode is
 * configured. position.c defines position mode, pending.c status and delete mode. */
struct outbox_pg_mode {
    const char *name; /* the word of source.mode */
    unsigned caps;    /* SOURCE_*, beside those that every mode has */
    /* True (position mode): rows are found by columns.xid and given in the order of columns.seq.
     * The cursor says where to go on; no row is written. False: all pending rows are sent, in the
     * order of source.order_by, and each is marked or deleted once it is delivered. */
    bool has_positions;
    bool has_status; /* it reads and writes the columns of outbox_pg_status_column */
    /* The statement that marks a row ("update", "delete"); its number in pg_rewrite.ev_type; and
     * the bits of pg_trigger.tgtype of a trigger that runs before it. NULL with has_positions. */
    const char *statement, *rule_event;
    int trigger_bits;

    /* Prepares the statements and sets the position from the cursor (null: none is stored). The
     * table is inspected and the reader connected. May wait. FATAL for a cursor that does not fit.
     */
    int (*start)(struct outbox_pg *s, struct slice cursor, struct error *err);
    /* Sends the next statement, without waiting; outbox_pg_limits gives the page's limits. */
    int (*send)(struct outbox_pg *s, struct error *err);
    /* Takes the answer to a statement of `send` that is no page. *ret_page: it is a page as well,
     * which is to be given. */
    int (*answered)(struct outbox_pg *s, const struct pg_result *r, bool *ret_page,
                    struct error *err);
    /* May the row be given now? If it is not due, its key is remembered as blocked. NULL: every row
     * may. */
    bool (*may_give)(struct outbox_pg *s, const struct pg_result *r, size_t row);
    /* The row with this key counts as given in the batch: the next `send` does not ask for it. Its
     * event may be added to the batch later. `key` is borrowed. */
    void (*given)(struct outbox_pg *s, struct batch *batch, struct slice key);
    /* All `rows` rows of a page were gone through. exhausted: the server has no further rows. */
    void (*page_ended)(struct outbox_pg *s, size_t rows, bool exhausted);
    /* Asked when no statement is on its way: is there really nothing to send? May wait. */
    int (*idle)(struct outbox_pg *s, bool *ret_idle, struct error *err);
    /* As source_ops.cursor and source_ops.position. */
    void (*cursor)(const struct outbox_pg *s, const struct batch *batch, size_t index,
                   struct buf *out);
    int (*place)(struct outbox_pg *s, const char *text, struct buf *ret_cursor, struct error *err);
    /* Is it a cursor of this mode? */
    bool (*knows)(const struct outbox_pg *s, struct slice cursor);
    /* For `check`: appends the SQL condition that is true for rows not yet sent. */
    void (*add_unsent)(const struct outbox_pg *s, struct buf *out);
    /* For `replay`; NULL: delivered rows are gone. frontier: as source_ops.frontier, on `c`;
     * add_delivered appends the SQL condition for rows that were delivered by then, false if the
     * text is no frontier of this mode. */
    int (*frontier)(const struct outbox_pg *s, struct pg *c, struct slice cursor, struct buf *out,
                    struct error *err);
    bool (*add_delivered)(const struct outbox_pg *s, struct slice frontier, struct buf *out);
};

/* delivered.c */
/* FATAL if the snapshot (the upper end of a stored cursor) is ahead of the server. */
int outbox_pg_demand_past(const struct outbox_pg *s, struct pg *c, struct slice snapshot,
                          struct error *err) MUST_CHECK;
/* outbox_pg_mode.frontier and .add_delivered of position and status mode. */
int outbox_pg_position_frontier(const struct outbox_pg *s, struct pg *c, struct slice cursor,
                                struct buf *out, struct error *err);
bool outbox_pg_position_delivered(const struct outbox_pg *s, struct slice frontier,
                                  struct buf *out);
int outbox_pg_status_frontier(const struct outbox_pg *s, struct pg *c, struct slice cursor,
                              struct buf *out, struct error *err);
bool outbox_pg_status_delivered(const struct outbox_pg *s, struct slice frontier, struct buf *out);

/* range.c: reads a piece of the table for `replay` and `tail`, in the place of the configured mode;
 * see source_ops.frontier, source_ops.survey, source_ops.recent and source_ops.holds. */
extern const struct outbox_pg_mode outbox_pg_range;
/* The inspected table is read in the order of seq, whatever order the pipeline has. For `tail` also
 * chooses s->mode. CONFIG: the table has no seq to go by. */
int outbox_pg_by_seq(struct outbox_pg *s, struct error *err) MUST_CHECK;
int outbox_pg_frontier(void *source, struct slice cursor, struct buf *out, struct error *err);
int outbox_pg_survey(void *source, const struct source_range *range, struct source_survey *ret,
                     struct error *err);
int outbox_pg_recent(void *source, int64_t n, struct buf *ret_cursor, struct error *err);
int outbox_pg_holds(void *source, const char *const *ids, size_t n,
                    int (*each)(void *ctx, struct slice id), void *ctx, struct error *err);

/* connect.c */
/* A new connection, which the caller closes. May wait, each step at most most_us and never longer
 * than the configured timeouts. */
int outbox_pg_connect(const struct outbox_pg *s, int64_t most_us, struct pg **ret,
                      struct error *err) MUST_CHECK;
/* The same for the session that reads pages: plans that go through an index. */
int outbox_pg_connect_reader(const struct outbox_pg *s, struct pg **ret,
                             struct error *err) MUST_CHECK;
/* The same for a session that marks or deletes rows: the role's own search_path, and a
 * lock_timeout. */
int outbox_pg_connect_mark(const struct outbox_pg *s, struct pg **ret,
                           struct error *err) MUST_CHECK;

/* read.c */
#define OUTBOX_PG_POLL_SHORTEST_US (5 * US_PER_MS)
/* The shortest time between two polls, however often the channel calls. */
#define OUTBOX_PG_NOTIFIED_US US_PER_MS
/* See source_ops.read. */
int outbox_pg_read(void *source, struct batch *batch, size_t max_events, size_t max_bytes,
                   struct error *err) MUST_CHECK;
/* Receives what has come, without waiting for more. Must be called while the pipeline does not
 * read: an answer left in the socket keeps its statement open on the server, and the snapshot of
 * that statement holds back vacuum for as long as the sink stands still. The next read returns an
 * error met here. */
void outbox_pg_take_in(struct outbox_pg *s);
/* Sends a prepared statement on the reader's connection, which must be idle. Does not wait. */
int outbox_pg_send(struct outbox_pg *s, enum outbox_pg_sent what, const char *name, size_t n,
                   const char *const *params, struct error *err) MUST_CHECK;
/* Parameters of the next page as text: its LIMIT in rows, and for a guarded page the largest event
 * and the page's budget in bytes. */
struct outbox_pg_limits {
    char limit[24], largest[24], budget[24];
};
/* Decides form and limits of the next page and records them in *s. */
void outbox_pg_limits(struct outbox_pg *s, struct outbox_pg_limits *ret);
/* See source_ops.behind. */
bool outbox_pg_behind(void *source);

/* unreadable.c: the page failed with *err. True: the error may be the fault of one row, and the
 * page will be asked for in another way. False: the read fails with *err. */
bool outbox_pg_look_closer(struct outbox_pg *s, const struct error *err);
/* The page was given whole: ends or continues the search for a row at fault. */
void outbox_pg_look_on(struct outbox_pg *s);
/* If the row could not be read like others: sets `poison` of its event (the text is in the arena),
 * and `partial` if values are missing. Else does nothing. */
void outbox_pg_tell_unreadable(const struct outbox_pg *s, struct event *e, struct arena *arena);

extern const struct outbox_pg_mode outbox_pg_position;
void outbox_pg_position_release(struct outbox_pg_window *w);
/* FATAL, exit code 69, if the cursor is not one of position mode, or is ahead of the server. May
 * wait. */
int outbox_pg_position_fits(struct outbox_pg *s, struct pg *c, struct slice cursor,
                            struct error *err) MUST_CHECK;

/* partitions.c: position mode of a partitioned table looks for partitions that were attached with
 * rows in them. `prepare` may wait; `due` says whether it is time to look; `send` asks without
 * waiting; `taken` reads the answer, and if something was attached may wait for a connection of its
 * own, a second per step; `check` is for `check --connect`, and may wait. */
int outbox_pg_partitions_prepare(struct outbox_pg *s, struct error *err) MUST_CHECK;
bool outbox_pg_partitions_due(const struct outbox_pg *s);
int outbox_pg_partitions_send(struct outbox_pg *s, struct error *err) MUST_CHECK;
void outbox_pg_partitions_taken(struct outbox_pg *s, const struct pg_result *r);
int outbox_pg_partitions_check(struct outbox_pg *s, struct pg *c, finding_report *report, void *ctx,
                               struct error *err) MUST_CHECK;

/* days.c: a table that is partitioned by day. Columns of the answer of
 * schema/sql/day_partitions.sql, which has a row for each partition with bounds. */
enum { DAY_OID, DAY_NAME, DAY_IS_DAY, DAY_IS_DUE, DAY_HAS_TOMORROW, DAY_HAS_DEFAULT, DAY_MAKE };
/* Parameters of that statement, with room for OUTBOX_PG_DAYS_PARAMS texts. `age` in microseconds as
 * text; borrowed, as all else. */
enum { OUTBOX_PG_DAYS_PARAMS = 3 };
void outbox_pg_days_params(const struct outbox_pg_table *t, const char *age, const char **ret);
/* Does one of the partitions hold just a day? */
bool outbox_pg_days_any(const struct pg_result *days);
/* Asks whether there is a partition for tomorrow, unless a prune makes it. What is missing goes to
 * `report`; NULL: to s->warning, and to the log if it was not there before. May wait. */
int outbox_pg_days_look(struct outbox_pg *s, struct pg *c, finding_report *report, void *ctx,
                        struct error *err) MUST_CHECK;
/* The same with an answer that has come, to s->warning. */
void outbox_pg_days_taken(struct outbox_pg *s, const struct pg_result *days);

extern const struct outbox_pg_mode outbox_pg_status, outbox_pg_delete; /* pending.c */

/* mark.c: prepares the statements on s->mark. */
int outbox_pg_mark_prepare(struct outbox_pg *s, struct error *err) MUST_CHECK;
/* See source_ops.ack and source_ops.note_failure. After CONFIG from `ack` a trigger, rule or policy
 * undoes the marks; RETRY also means that another relay has taken over. */
int outbox_pg_ack(void *source, const struct slice *keys, size_t n, struct error *err) MUST_CHECK;
int outbox_pg_note_failure(void *source, struct slice row_key, int64_t attempts, const char *reason,
                           int64_t next_attempt_us, struct error *err) MUST_CHECK;
int outbox_pg_note_closed(void *source, struct slice position, bool delivered,
                          struct error *err) MUST_CHECK; /* source_ops.note_closed */

/* held_up.c: if the statement of `c`, sent at since_us (monotonic), is slow, s->held_up names the
 * session that blocks it. May wait up to a second per step, and asks every five seconds at most. */
void outbox_pg_watch(struct outbox_pg *s, const struct pg *c, int64_t since_us);
/* The statement of `c` has ended: clears what was said about it. */
void outbox_pg_watch_end(struct outbox_pg *s, const struct pg *c);

/* prune.c */
extern const struct prune_ops outbox_pg_prune;
/* CONFIG if rows of this table cannot be pruned: their age is not known, or a right is missing. */
int outbox_pg_judge_prune(const struct outbox_pg_conf *conf, const struct outbox_pg_table *t,
                          struct error *err) MUST_CHECK;

/* check.c: see source_ops.check. */
int outbox_pg_check(void *source, finding_report *report, void *ctx, struct error *err) MUST_CHECK;
