/*
 * From a message of the stream to events: outbox rows, table changes, logical messages.
 *
 * Text that an event keeps is in the batch's arena. What a change borrows (cells, raw bytes) is in
 * `scratch`, which lives until the source's next read. One thread.
 */
#pragma once

#include "cdc/conf.h"
#include "cdc/decode/pgoutput.h"
#include "cdc/txn.h"
#include "contract/source.h"

/* What all intakes share. The source owns it. */
struct intake {
    const struct cdc_conf *conf;
    const struct source_env *env;
    const struct txn *txn;
    struct arena *scratch;
    struct slice database;
    struct slice snapshot; /* its state, while it goes on beside the stream: part of each mark */
    uint64_t system_id;
    int64_t money_unit; /* the server's */
    int server_version;
    struct buf text;   /* for putting texts together */
    struct buf prefix; /* "<system id>:<commit LSN>:" of the transaction in prefix_commit */
    size_t prefix_id;  /* length of its first part */
    uint64_t prefix_commit;
    struct slice outbox; /* conf->table, quoted */
    struct slice *tables;
    size_t tables_count;
    struct arena names;                /* of outbox and tables */
    struct outbox_types *outbox_types; /* what the mapped columns were when first seen */
};

int intake_open(struct intake *in, const struct cdc_conf *conf, const struct source_env *env,
                struct error *err) MUST_CHECK;
void intake_close(struct intake *in);

/* Private to the source: where an event's cursor is made from. event.origin is its address. */
struct mark {
    uint64_t start, last;
    struct txn_place behind;
    struct slice snapshot; /* state of the snapshot behind it; null outside */
};

/* Gives the event its position, its mark and, unless it has one, its id: message `part` of the
 * change counted last. */
void intake_place(struct intake *in, struct batch *batch, struct event *e, uint32_t part,
                  bool last);

/* What the source keeps for a version of a table (relations_user). */
struct intake_table {
    bool wanted;
    bool raw_chars;         /* a column is of "char", which its server does not escape */
    size_t bytes;           /* what an event of it takes beside its values */
    struct outbox_map *map; /* as: outbox, and this is the outbox table; else NULL */
    int32_t *further;       /* as: changes: enum further_column, or the column's index */
};
enum further_column { FURTHER_NONE = -1, FURTHER_SCHEMA = -2, FURTHER_TABLE = -3, FURTHER_OP = -4 };

struct intake_table *intake_table_new(struct intake *in, const struct change_table *table);
/* CONFIG: a wanted table has a column with a name of ours, or of a type that would be misread. */
int intake_check_columns(const struct intake *in, const struct intake_table *mark,
                         const struct change_table *table, struct error *err) MUST_CHECK;
void intake_table_free(void *table);

/* --- outbox.c --- */

struct outbox_map *outbox_map_new(struct intake *in, const struct change_table *table);
void outbox_map_free(struct outbox_map *map);

/* A row as an event; its cells lie in the batch's arena. CONFIG when a mapped column is missing or
 * has become something else. The event is not placed. */
int intake_outbox_row(struct intake *in, const struct outbox_map *map, const struct cell *cells,
                      size_t bytes, struct batch *batch, struct event **ret,
                      struct error *err) MUST_CHECK;

/* --- chars.c --- */

bool intake_has_raw_chars(const struct intake *in, const struct change_table *table);

/* Values of "char" as PostgreSQL 15 and later write them; NULL stays. The texts are in scratch. */
void intake_escape_chars(struct intake *in, const struct change_table *table, struct cell *cells);

/* --- changes.c --- */

/* How many events a change of this type may become (a TRUNCATE: one for each table). */
size_t intake_change_parts(const struct intake *in, enum pgoutput_type type);

/* The events of an INSERT, UPDATE or DELETE. `m` lies in scratch and is written to. */
void intake_row_change(struct intake *in, const struct intake_table *mark,
                       const struct change_table *table, struct pgoutput_message *m, uint64_t lsn,
                       struct batch *batch);

/* The event of one table of a TRUNCATE. */
void intake_truncate(struct intake *in, const struct intake_table *mark,
                     const struct change_table *table, const struct pgoutput_message *m,
                     uint64_t lsn, uint32_t part, bool last, struct batch *batch);

/* A row of the snapshot. The event is not placed. */
struct event *intake_read(struct intake *in, const struct intake_table *mark,
                          const struct change_table *table, const struct cell *cells,
                          enum snapshot_mark snapshot, uint64_t lsn, int64_t taken_us,
                          struct batch *batch);

/* --- message.c --- */

/* Is it one of the configured prefixes, to be sent, and not delivered yet? */
bool intake_message_wanted(const struct intake *in, struct slice prefix);

/* Are messages wanted, and their contents JSON texts to us? A format may take them as bytes. */
bool intake_reads_bodies(const struct intake *in);

/* The event of a transactional logical message. */
void intake_message(struct intake *in, const struct pgoutput_message *m, uint64_t lsn,
                    struct batch *batch);
