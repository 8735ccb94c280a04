/*
 * Makes events of the stream's messages: outbox rows, table changes, logical messages.
 *
 * Text that an event keeps lies in the batch's arena. What a change borrows (cells, raw bytes) lies
 * in `scratch`, which lives until the source's next read. The pipeline's thread only.
 */
#pragma once

#include "cdc/conf.h"
#include "cdc/decode/pgoutput.h"
#include "cdc/tables.h"
#include "cdc/txn.h"
#include "contract/source.h"

/* The transaction that is being received, with change_shape.transactions. */
struct intake_counts {
    uint64_t begin_lsn;          /* of its BEGIN */
    uint64_t total;              /* events so far; 0: its BEGIN has not been given yet */
    struct change_count *tables; /* malloc'ed; the names, too */
    size_t count, cap;
};

/* What the functions here share. The source owns it, and sets the fields up to server_version. */
struct intake {
    const struct cdc_conf *conf;
    const struct source_env *env;
    const struct txn *txn;
    struct arena *scratch;
    struct slice database;
    struct slice snapshot; /* state of a snapshot that goes on beside the stream, for the events'
                              cursors; null: none */
    uint64_t system_id;
    int64_t money_unit; /* of the server (cdc/conf.h, MONEY_UNIT) */
    int server_version;
    struct buf prefix; /* "<system id>:<commit LSN>:", the beginning of the ids of a transaction */
    size_t prefix_id;  /* length of "<system id>:" */
    uint64_t prefix_commit; /* the transaction that `prefix` is for */
    struct cdc_tables tables;
    struct intake_counts counts;
    struct outbox_types *outbox_types; /* kinds of the mapped columns when first seen; or NULL */
};

/* Borrows conf and env. CONFIG: a table name that cannot be read. No I/O. Close may be called after
 * a failed open. */
int intake_open(struct intake *in, const struct cdc_conf *conf, const struct source_env *env,
                struct error *err) MUST_CHECK;
void intake_close(struct intake *in);

/* What an event's cursor is made from: the values of struct cdc_cursor behind this event.
 * event.origin points to it; it lies in the batch's arena. Private to the source. */
struct mark {
    uint64_t start, last;
    struct txn_place behind;
    struct slice snapshot; /* state of the snapshot behind this event; null if there is none */
};

/* Gives the event its position, its origin and, unless it has one, its id. It is message `part`
 * (from 0) of the change counted last; `last`: the change has no further message. */
void intake_place(struct intake *in, struct batch *batch, struct event *e, uint32_t part,
                  bool last);

/* Adds the event of a change that is of no table. The caller still has to call intake_place. The
 * change has to lie in scratch. */
struct event *intake_add_apart(struct intake *in, const struct change *c, size_t bytes,
                               struct batch *batch);

/* Forgets what was counted. The array stays; intake_close frees it. */
void intake_counts_clear(struct intake_counts *c);

/* What is kept for a version of a table (relations_user), worked out once instead of for each row.
 */
struct intake_table {
    struct intake_table *next; /* for the owner's list */
    bool wanted;
    bool signal;                     /* source.signal_table: its rows are signals (cdc/signal.h) */
    const struct change_table *sent; /* as: changes: the table as its events show it. The columns
                                        are the same in the same sequence */
    bool raw_chars;         /* a column is of type "char", and the server does not escape it */
    void *sent_block;       /* memory of `sent`, if it is a copy */
    size_t bytes;           /* memory that an event takes beside its values, an estimate */
    struct outbox_map *map; /* if this is the outbox table (as: outbox); else NULL */
    int32_t *further;       /* as: changes: for each of env->columns the index of the column, or
                               enum further_column */
};
/* A further column that is no column of the table. */
enum further_column { FURTHER_NONE = -1, FURTHER_SCHEMA = -2, FURTHER_TABLE = -3, FURTHER_OP = -4 };

/* Makes it; the caller frees it. CONFIG: a wanted table has a column whose name is one of the flat
 * format's own members, or a money column whose unit the format cannot write, or it lacks a column
 * that `mask` or encode.key_columns names; or a pattern of the configuration cannot be matched. */
int intake_table_new(struct intake *in, const struct change_table *table, struct intake_table **ret,
                     struct error *err) MUST_CHECK;
void intake_table_free(void *table); /* NULL is fine */

/* --- outbox.c --- */

/* Finds the mapped columns in the table. Never fails: if one is missing, intake_outbox_row says so
 * when a row comes. Free takes NULL. */
struct outbox_map *outbox_map_new(struct intake *in, const struct change_table *table);
void outbox_map_free(struct outbox_map *map);

/* Adds the event of a row to the batch. The cells have to lie in the batch's arena; `bytes` is what
 * the event counts for. CONFIG: a mapped column is missing or has another type than before. The
 * caller still has to call intake_place. */
int intake_outbox_row(struct intake *in, const struct outbox_map *map, const struct cell *cells,
                      size_t bytes, struct batch *batch, struct event **ret,
                      struct error *err) MUST_CHECK;

/* --- chars.c --- */

/* Has the table a column of type "char" (or an array of it), and is the server before 15? */
bool intake_has_raw_chars(const struct intake *in, const struct change_table *table);

/* Rewrites values of type "char" as PostgreSQL 15 and later write them. `cells` may be NULL. The
 * new texts lie in scratch. */
void intake_escape_chars(struct intake *in, const struct change_table *table, struct cell *cells);

/* --- changes.c --- */

/* The most events that a change of this type can become, with the BEGIN of its transaction. (Not
 * for a TRUNCATE, which becomes one for each table.) */
size_t intake_change_parts(const struct intake *in, enum pgoutput_type type);

/* Adds the events of an INSERT, UPDATE or DELETE that are wanted and were not delivered before the
 * restart. `m` has to lie in scratch and is modified. `lsn` is the change's own. */
void intake_row_change(struct intake *in, const struct intake_table *mark,
                       const struct change_table *table, struct pgoutput_message *m, uint64_t lsn,
                       struct batch *batch);

/* Adds the event of one table of a TRUNCATE: message `part` of it, `last` for the last table. */
void intake_truncate(struct intake *in, const struct intake_table *mark,
                     const struct pgoutput_message *m, uint64_t lsn, uint32_t part, bool last,
                     struct batch *batch);

/* Adds the event of a row of the snapshot. `taken_us`: when the snapshot was begun (wall clock).
 * NULL: the format does not want such rows. The caller still has to set position, id and origin. */
struct event *intake_read(struct intake *in, const struct intake_table *mark,
                          const struct change_table *table, const struct cell *cells,
                          enum snapshot_mark snapshot, uint64_t lsn, int64_t taken_us,
                          struct batch *batch);

/* --- transaction.c: BEGIN and END, which are events like changes --- */

/* A transaction begins; txn_count has counted that. */
void intake_begin(struct intake *in, uint64_t lsn);
/* Numbers the change in its transaction, and gives the transaction's BEGIN before the first one,
 * unless that was delivered before the restart. Call it also for a change that was delivered. */
void intake_number(struct intake *in, struct change *c, struct batch *batch);
/* It has ended, which txn_count has counted. Gives its END, unless it had no event or that was
 * delivered before the restart. */
void intake_end(struct intake *in, uint64_t lsn, struct batch *batch);

/* --- message.c --- */

/* Adds the event of a heartbeat of our own, unless it was delivered before the restart. */
void intake_heartbeat(struct intake *in, uint64_t lsn, struct batch *batch);

/* Is a message with this prefix to be sent: configured, wanted by the format, and not delivered
 * before the restart? */
bool intake_message_wanted(const struct intake *in, struct slice prefix);

/* Are messages configured whose content has to be JSON? A format for changes may send the content
 * as bytes instead. */
bool intake_reads_bodies(const struct intake *in);

/* Adds the event of a transactional logical message. A body that is not as it should be becomes a
 * poison event. */
void intake_message(struct intake *in, const struct pgoutput_message *m, uint64_t lsn,
                    struct batch *batch);
