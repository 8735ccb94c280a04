/*
 * Private to the source outbox_postgres: its configuration, its state, and what its files do for
 * each other.
 */
#pragma once

#include "base/arena.h"
#include "contract/source.h"
#include "db/pg.h"
#include "source/outbox_postgres/cursor.h"
#include "source/outbox_postgres/keys.h"

/* outbox_pg_conf.mode */
enum { OUTBOX_PG_POSITION, OUTBOX_PG_STATUS, OUTBOX_PG_DELETE };

/* The mappable columns. */
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

struct outbox_pg_names {
    char *name[OUTBOX_PG_COLUMNS];
    bool given[OUTBOX_PG_COLUMNS];
};

struct outbox_pg_conf {
    char *url, *table;
    int mode;
    struct outbox_pg_names columns;
    char *order_by, *start_from;
    bool order_by_given;
    int64_t batch_size, poll_interval_us;
    char *notify_channel;
    int64_t connect_timeout_us, read_timeout_us;
};

/* conf.c */
extern const struct conf_key outbox_pg_keys[];
extern const char *const outbox_pg_modes[]; /* NULL behind the last */
const struct outbox_pg_mode *outbox_pg_mode(const struct outbox_pg_conf *conf);
/* See source_ops. */
void outbox_pg_store_url(const void *conf, struct buf *out);
void outbox_pg_timeouts(const void *conf, int64_t *connect_us, int64_t *read_us);
int outbox_pg_refuse_conf(const struct outbox_pg_conf *conf, const struct source_env *env,
                          struct error *err) MUST_CHECK;

/* A column of the real table. */
struct outbox_pg_found {
    const char *name; /* NULL: the table has no such column */
    const char *quoted;
    const char *type;     /* base type's name, below all domains: "int8", "jsonb" */
    char category;        /* of the base type: 'S' text, 'E' enum (pg_type.typcategory) */
    int64_t length;       /* of varchar(n) and char(n); -1 without */
    const char *format;   /* for a cast: "bigint", "character varying(40)" */
    const char *fallback; /* its default expression, "" if none */
    bool not_null, may_select, may_update, unique, indexed;
    bool indexed_seq; /* an index holds it and, behind it, the column seq */
};

/* Written by status mode; contract.md. */
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
    struct outbox_pg_found column[OUTBOX_PG_COLUMNS];
    struct outbox_pg_found status[OUTBOX_PG_STATUS_COLUMNS];
    const char *zone; /* in which created_at is read; NULL: it says so itself, or is no time */
    struct outbox_pg_found *further; /* env->columns */
    const struct outbox_pg_found
        *key;          /* what rows are marked or deleted by, and the event position */
    const char *order; /* "order by" list without the words; "" for none */
    struct outbox_pg_found order_column; /* name NULL: none */
};

/* table.c: finds table and columns; CONFIG names what is missing and the key that maps it. */
int outbox_pg_inspect(struct pg *c, const struct outbox_pg_conf *conf, const struct source_env *env,
                      struct outbox_pg_table *t, struct error *err) MUST_CHECK;
/* The same for `check`: each thing that is missing is told to `each`, and DONE with *ret_faults
 * above 0 says that the table cannot be used. */
int outbox_pg_inspect_all(struct pg *c, const struct outbox_pg_conf *conf,
                          const struct source_env *env, struct outbox_pg_table *t,
                          finding_report *each, void *ctx, size_t *ret_faults,
                          struct error *err) MUST_CHECK;
/* types.c: columns whose type cannot hold what the relay reads or writes there. */
int outbox_pg_demand_types(struct pg *c, const struct outbox_pg_conf *conf,
                           const struct outbox_pg_table *t, struct error *err) MUST_CHECK;
/* limits.c: what the mode cannot work with: rights, types, a sequence with a cache, rows of another
 * cluster. */
int outbox_pg_demand(struct pg *c, const struct outbox_pg_conf *conf, const struct source_env *env,
                     const struct outbox_pg_table *t, struct error *err) MUST_CHECK;
/* Appends the name quoted; CONFIG when it cannot be one. */
int outbox_pg_quote(struct arena *a, const char *name, const char **ret,
                    struct error *err) MUST_CHECK;

/* sql.c: the statements. */
struct outbox_pg_page_sql {
    const char *with; /* "with ... " or "" */
    const char *from; /* "<table> t join ..." */
    const char *where;
    const char *order; /* "" for none */
    const char *due;   /* expression: microseconds until the row may be tried; "null::bigint" */
    int limit_param;   /* the guarded form's largest size and budget are the next two */
};

/* How a page's values come: those that may be large left out; measured; or, for a row that cannot
 * be read like that, escaped; or without payload, headers and further columns; or the key alone. */
enum outbox_pg_form { FORM_ORDINARY, FORM_GUARDED, FORM_ESCAPED, FORM_BARE, FORM_KEY, FORM_COUNT };
enum { FORM_GUARDED_PARAMS = 2 }; /* more than the others have */
void outbox_pg_page_sql(const struct outbox_pg_table *t, size_t further,
                        const struct outbox_pg_page_sql *sql, enum outbox_pg_form form,
                        struct buf *out);
/* "t.created_at", in the zone of its writer where it has none; a column that is there. */
void outbox_pg_add_created_at(const struct outbox_pg_table *t, struct buf *out);
/* The name of the prepared statement; `late`: the one for stragglers. */
const char *outbox_pg_page_name(enum outbox_pg_form form, bool late);

/* Columns of a page; the further ones follow. */
enum {
    PAGE_KEY,
    PAGE_ID,
    PAGE_AGGREGATETYPE,
    PAGE_AGGREGATEID,
    PAGE_TYPE,
    PAGE_PAYLOAD,
    PAGE_HEADERS,
    PAGE_CREATED_AT,
    PAGE_BIG, /* null, or the row may be large: stored size (ordinary page) or measured size
                 (guarded) of payload and headers */
    PAGE_DUE,
    PAGE_FURTHER
};

/* What an event costs beside its text: struct event, and about what route and encode add. */
enum { OUTBOX_PG_EVENT_BYTES = 512 };

/* row.c: the size of a row's text with its NULs; the row as an event, either copied (`copy`: that
 * size) or, with 0, pointing into the result, which the batch must then own. Raw bytes (bytea) are
 * always copied. */
size_t outbox_pg_row_bytes(const struct pg_result *r, size_t row, size_t further);
struct event *outbox_pg_row_event(const struct pg_result *r, size_t row, size_t further,
                                  enum payload_kind kind, size_t max_event, size_t copy,
                                  struct batch *batch);
enum payload_kind outbox_pg_payload_kind(const char *type);

enum outbox_pg_sent { SENT_NOTHING, SENT_WINDOW, SENT_PAGE, SENT_COUNT, SENT_PARTITIONS };

/* position.c */
struct outbox_pg_window {
    struct buf s1, s2;
    int64_t high;  /* rows up to it that s1 shows are delivered */
    int64_t hi;    /* the highest row s2 shows */
    int64_t last;  /* the last one given in this window; INT64_MIN: none */
    int64_t shown; /* the last one given at all, for people */
    bool open, stragglers_done, given;
    bool with_page; /* the statement that opens it brings its first page */
    /* The cursor while nothing is given: lags behind s1 through empty windows, so that an idle
     * relay need not save. */
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
    /* The page: in hand, or on its way. At most one, so memory is bounded by its budget. */
    enum outbox_pg_sent sent;
    int64_t sent_us;
    struct pg_result *page;
    size_t row;
    bool page_guarded, page_big;
    bool page_full;     /* more keys wait than can be remembered */
    int64_t page_given; /* rows of it */
    int64_t page_limit;
    size_t page_budget, page_sum; /* of guarded sizes */
    int64_t limit_cap;            /* batch_size, halved when the server cancels a page */
    int64_t guarded_limit;        /* 0: the next page is an ordinary one */
    /* A row that the server cannot give is found by asking for one row at a time, and then given as
     * a poisoned event. */
    bool one_by_one;
    int64_t one_by_one_left;
    enum outbox_pg_form form;   /* of the page asked for */
    enum outbox_pg_form spoilt; /* how the next row is to come; ORDINARY: it is not spoilt */
    int64_t short_of_memory;    /* how often the server was, at this row */
    char unreadable[256];
    size_t budget, largest_row;
    unsigned good_pages;
    struct error deferred; /* met while taking in a result outside of `read` */
    bool failed;
    bool zone_told; /* in the log, once */
    /* Looking for news. */
    bool found_nothing, notified;
    int64_t interval_us, next_poll_us;
    /* For lag. */
    int64_t pending; /* rows not given; -1: unknown */
    int64_t pending_at_us, oldest_us;
    char held_up[256];
    const struct pg *held_up_conn; /* whose statement that is about */
    int64_t ask_at_us;
    struct outbox_pg_window window;
    struct buf partitions_seen; /* the snapshot of the last look at them */
    int64_t partitions_us;
    /* Status and delete modes. */
    struct outbox_pg_held held;
    struct outbox_pg_blocked blocked;
    struct buf held_param, blocked_param, ack_param;
    enum outbox_pg_ack { ACK_NOTHING, ACK_MARK, ACK_FENCE, ACK_LOOK } ack_next, ack_running;
    int64_t ack_us;
};

/* What a mode does in its own way, so that nothing else asks which one is configured. position.c
 * has the table of position mode, pending.c those of status and delete mode. */
struct outbox_pg_mode {
    unsigned caps; /* SOURCE_*, beside those that every mode has */
    /* Rows are found by columns.xid and come in the order of columns.seq, so that a cursor can say
     * where; none is written to. Else: what is there and pending is sent, in the order of
     * source.order_by, and marked. */
    bool has_positions;
    bool has_status; /* it reads and writes the columns of enum outbox_pg_status_column */
    /* The statement that marks a row; as rules know it (pg_rewrite.ev_type); and what
     * pg_trigger.tgtype holds for a trigger that runs before it. NULL with has_positions. */
    const char *statement, *rule_event;
    int trigger_bits;

    /* Prepares the statements and goes on from the cursor (null: none is stored). Table and
     * reader are ready. */
    int (*start)(struct outbox_pg *s, struct slice cursor, struct error *err);
    /* Sends the statement that comes next; the page's limits are outbox_pg_limits. */
    int (*send)(struct outbox_pg *s, struct error *err);
    /* May the row be given now? Remembers the key of one that waits. NULL: every row may. */
    bool (*may_give)(struct outbox_pg *s, const struct pg_result *r, size_t row);
    /* The event of a row was added to the batch. */
    void (*given)(struct outbox_pg *s, struct batch *batch, struct event *e);
    /* A page of so many rows was looked through; exhausted: the server has no further rows. */
    void (*page_ended)(struct outbox_pg *s, size_t rows, bool exhausted);
    /* With nothing read and nothing on its way: is there really nothing to send? */
    int (*idle)(struct outbox_pg *s, bool *ret_idle, struct error *err);
    /* As source_ops.cursor and source_ops.position. */
    void (*cursor)(const struct outbox_pg *s, const struct batch *batch, size_t index,
                   struct buf *out);
    int (*place)(struct outbox_pg *s, const char *text, struct buf *ret_cursor, struct error *err);
    /* Is it a cursor of this mode? */
    bool (*knows)(const struct outbox_pg *s, struct slice cursor);
    /* Adds the condition that rows not yet sent meet, for `check`. */
    void (*add_unsent)(const struct outbox_pg *s, struct buf *out);
};

/* outbox_postgres.c: delete mode passes over rows that are dead letters and stay, as if they were
 * in flight. */
int outbox_pg_hold_dead_letters(struct outbox_pg *s, struct error *err) MUST_CHECK;
int outbox_pg_connect(const struct outbox_pg *s, int64_t most_us, struct pg **ret,
                      struct error *err) MUST_CHECK;
/* A session that marks or deletes rows. */
int outbox_pg_connect_mark(const struct outbox_pg *s, struct pg **ret,
                           struct error *err) MUST_CHECK;

/* read.c */
#define OUTBOX_PG_POLL_SHORTEST_US (5 * US_PER_MS)
#define OUTBOX_PG_NOTIFIED_US US_PER_MS /* between two polls, however often the channel calls */
int outbox_pg_read(void *source, struct batch *batch, size_t max_events, size_t max_bytes,
                   struct error *err);
/* While the pipeline reads nothing, an answer on its way must not wait in the socket: the server
 * could not end its statement, and its snapshot would hold back vacuum for as long as the sink
 * stands still. What fails is told by the next read. */
void outbox_pg_take_in(struct outbox_pg *s);
int outbox_pg_send(struct outbox_pg *s, enum outbox_pg_sent what, const char *name, size_t n,
                   const char *const *params, struct error *err) MUST_CHECK;
/* The LIMIT of the next page as text, and the parameters of a guarded one behind it. */
struct outbox_pg_limits {
    char limit[24], largest[24], budget[24];
};
void outbox_pg_limits(struct outbox_pg *s, struct outbox_pg_limits *ret);

/* unreadable.c: the page failed with `err`. True: it is asked for again in another way. */
bool outbox_pg_look_closer(struct outbox_pg *s, const struct error *err);
/* A page was given. */
void outbox_pg_look_on(struct outbox_pg *s);
/* Says in an event what is wrong with its row, and whether it lacks values; nothing where the row
 * was read like others. */
void outbox_pg_tell_unreadable(const struct outbox_pg *s, struct event *e, struct arena *arena);

extern const struct outbox_pg_mode outbox_pg_position;
/* ret_page: the result is the first page, too. */
int outbox_pg_position_opened(struct outbox_pg *s, const struct pg_result *r, bool *ret_page,
                              struct error *err) MUST_CHECK;
void outbox_pg_position_release(struct outbox_pg_window *w);

/* partitions.c: position mode of a partitioned table */
int outbox_pg_partitions_prepare(struct outbox_pg *s, struct error *err) MUST_CHECK;
bool outbox_pg_partitions_due(const struct outbox_pg *s);
int outbox_pg_partitions_send(struct outbox_pg *s, struct error *err) MUST_CHECK;
void outbox_pg_partitions_taken(struct outbox_pg *s, const struct pg_result *r);
int outbox_pg_partitions_check(struct outbox_pg *s, struct pg *c, finding_report *report, void *ctx,
                               struct error *err) MUST_CHECK;

/* pending.c */
extern const struct outbox_pg_mode outbox_pg_status, outbox_pg_delete;
int outbox_pg_ack(void *source, const struct slice *keys, size_t n, struct error *err);
int outbox_pg_note_failure(void *source, struct slice row_key, int64_t attempts, const char *reason,
                           int64_t next_attempt_us, struct error *err);

/* held_up.c: names who blocks the statement of `c` that was sent at `since_us`, if it is slow. */
void outbox_pg_watch(struct outbox_pg *s, const struct pg *c, int64_t since_us);
/* Its statement has ended. */
void outbox_pg_watch_end(struct outbox_pg *s, const struct pg *c);

/* check.c */
int outbox_pg_check(void *source, finding_report *report, void *ctx, struct error *err);
