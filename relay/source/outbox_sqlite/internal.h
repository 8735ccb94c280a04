/*
 * Private to the source outbox_sqlite: its configuration, its state, and what its files do for each
 * other.
 */
#pragma once

#include "base/arena.h"
#include "contract/source.h"
#include "db/sqlite.h"
#include "source/outbox_sqlite/held.h"
#include "source/outbox_sqlite/watch.h"

/* outbox_sqlite_conf.mode */
enum { OUTBOX_SQLITE_POSITION, OUTBOX_SQLITE_DELETE };

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
};

/* conf.c */
extern const struct conf_key outbox_sqlite_keys[];
const struct outbox_sqlite_mode *outbox_sqlite_mode(const struct outbox_sqlite_conf *conf);

/* See source_ops. */
void outbox_sqlite_store_url(const void *conf, struct buf *out);
void outbox_sqlite_timeouts(const void *conf, int64_t *connect_us, int64_t *read_us);

/* What was found out about the table, and the SQL that follows from it. Texts live in `arena`. */
struct outbox_sqlite_table {
    struct arena arena;
    const char *name; /* as the schema spells it: sqlite_sequence knows it by this name */
    bool by_key;      /* the order of delivery is the order of the key */
    bool payload_json;
    /* page(after, limit), fetch(key), fetch_slim(key), next_key(after), list: list(up to key) or,
     * without by_key, list(limit); remove(key, id), left(key, id); count(after, limit); lowest,
     * highest. All keys are 64-bit row ids. */
    const char *page, *fetch, *fetch_slim, *next_key, *list, *remove, *left, *count, *lowest,
        *highest;
};

/* Inspects the table; reports each fault. `table` is usable if *ret_faults is 0; release it in
 * either case. */
int outbox_sqlite_inspect(struct sqlite *db, const struct outbox_sqlite_conf *conf,
                          const struct source_env *env, struct outbox_sqlite_table *table,
                          finding_report *report, void *ctx, unsigned *ret_faults,
                          struct error *err) MUST_CHECK;

/* Columns of a page or fetch; the env's further columns follow. */
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

struct outbox_sqlite_key {
    int64_t key;
    struct slice id; /* null: the row has none */
};

/* A lock is in the way. */
struct outbox_sqlite_wait {
    int64_t since_us; /* 0: no */
    int64_t next_us;  /* when to try again */
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
    char identity[64]; /* of the database file; "" until known. Survives `start`. */
    int64_t epoch;
    int64_t last;  /* highest key given out; in delete mode INT64_MIN while nothing is in flight */
    int64_t shown; /* the last key given out, for people */
    int64_t seen_schema;
    /* Looking for news. */
    bool caught_up;
    int64_t seen_version; /* data_version before the read that found nothing */
    int64_t interval_us, next_poll_us;
    /* Two waits, for a lock may let us read and keep us from deleting. */
    struct outbox_sqlite_wait read_wait, ack_wait;
    /* Delete mode. */
    struct outbox_sqlite_held held;
    int64_t probed_version; /* data_version before the last look below `last` */
    bool probe;             /* look again all the same */
    struct arena ack_arena;
    struct outbox_sqlite_key *acks;
    size_t acks_count, acks_done;
    /* For lag. */
    int64_t pending, pending_at_us, oldest_us;
};

/* What a mode does in its own way, so that nothing else asks which one is configured. */
struct outbox_sqlite_mode {
    char letter;   /* its cursors begin with it */
    unsigned caps; /* SOURCE_*, beside those that both modes have */
    /* Rows stay and come in the order of a number that is never given again, so that a cursor can
     * say where. Else what is there is undelivered, and is deleted once it is delivered. */
    bool has_positions;
    /* Goes on behind row `last` of a cursor that a mode with this letter made. The table is
     * known. */
    int (*go_on)(struct outbox_sqlite *s, char letter, int64_t last, struct error *err);
    /* Adds the next rows. `version`: data_version before this read. */
    int (*read)(struct outbox_sqlite *s, int64_t version, struct batch *batch, size_t max_events,
                size_t max_bytes, struct error *err);
};

/* cursor.c, delete.c */
extern const struct outbox_sqlite_mode outbox_sqlite_position_mode, outbox_sqlite_delete_mode;

/* rows.c: adds the statement's current row; *ret_full when it does not fit any more and was not
 * added. */
void outbox_sqlite_add_row(struct outbox_sqlite *s, struct sqlite_stmt *row, struct batch *batch,
                           size_t max_bytes, bool slim, bool *ret_full);
/* Adds the row with this key (nothing if it is gone). A value too large to load makes it a poison
 * event. */
int outbox_sqlite_fetch(struct outbox_sqlite *s, int64_t key, struct batch *batch, size_t max_bytes,
                        bool *ret_full, struct error *err) MUST_CHECK;
/* Adds rows with a key above s->last, lowest first, and moves s->last. */
int outbox_sqlite_page(struct outbox_sqlite *s, struct batch *batch, size_t max_events,
                       size_t max_bytes, struct error *err) MUST_CHECK;

/* delete.c */
int outbox_sqlite_ack(void *source, const struct slice *keys, size_t n, struct error *err);

/* cursor.c */
int outbox_sqlite_load_identity(struct outbox_sqlite *s, struct error *err) MUST_CHECK;
int outbox_sqlite_resume(struct outbox_sqlite *s, struct slice cursor,
                         struct error *err) MUST_CHECK;
int outbox_sqlite_check_sequence(struct outbox_sqlite *s, int64_t last,
                                 struct error *err) MUST_CHECK;
int outbox_sqlite_check_position(const struct outbox_sqlite_conf *conf, const char *text,
                                 struct error *err) MUST_CHECK;
int outbox_sqlite_place(struct outbox_sqlite *s, const char *text, int64_t *ret_last,
                        struct error *err) MUST_CHECK;
void outbox_sqlite_cursor_text(const struct outbox_sqlite *s, int64_t last, struct buf *out);
void outbox_sqlite_cursor(void *source, const struct batch *batch, size_t index, struct buf *out);
int outbox_sqlite_position(void *source, const char *text, struct buf *ret_cursor,
                           struct error *err);
int outbox_sqlite_accepts(void *source, struct slice cursor, struct slice last_position,
                          struct slice last_id, struct error *err);
/* The key behind which such a cursor goes on; INT64_MIN: before all. */
int64_t outbox_sqlite_cursor_last(struct slice cursor);
void outbox_sqlite_describe(struct slice cursor, struct buf *out);

/* outbox_sqlite.c: opens and inspects if that was not done. May wait a moment for a lock. */
int outbox_sqlite_connect(struct outbox_sqlite *s, struct error *err) MUST_CHECK;
/* Turns "the database is locked" into AGAIN with a near deadline, until read_timeout has passed. */
int outbox_sqlite_busy(struct outbox_sqlite *s, struct outbox_sqlite_wait *wait, struct error *err);

int outbox_sqlite_check(void *source, finding_report *report, void *ctx, struct error *err);
