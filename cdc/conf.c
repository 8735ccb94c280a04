/* The configuration keys of a CDC source, and the check that refuses keys which contradict each
 * other or which would be ignored without a word. */
#include "cdc/conf.h"

#include "base/error.h"
#include "cdc/internal.h"
#include "cdc/tables.h"
#include <string.h>

static const char *const as_words[] = {"changes", "outbox", NULL};
static const char *const snapshot_words[] = {"initial", "never", "always", NULL};
static const char *const toast_words[] = {"omit", "placeholder", NULL};
static const char *const lost_words[] = {"stop", "resnapshot", NULL};

#define COLUMN(field) \
    (offsetof(struct cdc_conf, columns.field) - offsetof(struct cdc_conf, columns))

static const struct conf_key column_keys[] = {
    {"id", CONF_STRING, COLUMN(id), "id", .help = "The event id: unique, given by the application"},
    {"aggregatetype", CONF_STRING, COLUMN(aggregatetype), "aggregatetype",
     .help = "What the event is about"},
    {"aggregateid", CONF_STRING, COLUMN(aggregateid), "aggregateid",
     .help = "The key: events of one key keep their order"},
    {"type", CONF_STRING, COLUMN(type), "type", .help = "The event's type"},
    {"payload", CONF_STRING, COLUMN(payload), "payload",
     .help = "json, jsonb, bytea or anything that has a text form"},
    {"headers", CONF_STRING, COLUMN(headers), "headers", .given_offset = COLUMN(headers_given),
     .help = "A JSON object; may be missing unless named here"},
    {"created_at", CONF_STRING, COLUMN(created_at), "created_at",
     .given_offset = COLUMN(created_at_given),
     .help = "A timestamp; may be missing unless named here"},
    {"seq", CONF_STRING, COLUMN(seq), "seq", .help = "Not used: the WAL has its own order"},
    {"xid", CONF_STRING, COLUMN(xid), "xid", .help = "Not used: only what is committed comes"},
    CONF_END};

#define CONF(field) offsetof(struct cdc_conf, field)
#define SECONDS INT64_C(1000000)

const struct conf_key cdc_conf_keys[] = {
    {"url", CONF_SECRET, CONF(url), .required = true,
     .help = "postgresql://... or a libpq conninfo string; a direct connection, by a role with "
             "REPLICATION"},
    {"slot", CONF_STRING, CONF(slot), "",
     .help = "The replication slot; `commitrelay_<pipeline>` when absent"},
    {"publication", CONF_STRING, CONF(publication), "",
     .help = "The publication; `commitrelay_<pipeline>` when absent"},
    {"create_slot", CONF_BOOL, CONF(create_slot), "true",
     .help = "Create the slot at the first start; one that is gone later is for `on_lost_slot`"},
    {"create_publication", CONF_BOOL, CONF(create_publication), "false",
     .help = "Create a missing publication for `tables` (or the outbox table)"},
    {"as", CONF_ENUM, CONF(as), "changes", .choices = as_words,
     .help =
         "changes: every change of a row is an event; outbox: each row inserted into `table` is "
         "one"},
    {"tables", CONF_LIST, CONF(tables), "[]",
     .help =
         "as changes: schema.table of the publication, or `re:PATTERN`, a regular expression for "
         "schema.table as a whole, in any case of letters; all of it when absent"},
    {"table", CONF_STRING, CONF(table), "outbox",
     .help = "as outbox: schema.table; public if bare"},
    {"columns", CONF_GROUP, CONF(columns), .group = column_keys,
     .help = "as outbox: names of the table's columns"},
    {"messages", CONF_LIST, CONF(messages), "[]",
     .help = "Prefixes of transactional pg_logical_emit_message calls that are events"},
    {"snapshot", CONF_ENUM, CONF(snapshot), "initial", .choices = snapshot_words,
     .given_offset = CONF(snapshot_given),
     .help =
         "The rows that are there: initial before the first change, always at each start as "
         "well (but for tables without a key); when absent: initial for changes, never for outbox"},
    {"signal_table", CONF_STRING, CONF(signal_table), "",
     .help =
         "A published table (id, type, data), schema.table: a row inserted into it asks for a "
         "snapshot, stops, pauses or resumes it, as Debezium's signals do; its rows are no events"},
    {"snapshot_where", CONF_MAP, CONF(snapshot_where), .shown = true,
     .help =
         "as changes: which rows of a table the snapshot reads, `{schema.table: CONDITION}`, in "
         "SQL. The table needs a primary key. Changes of other rows are sent all the same"},
    {"heartbeat_interval", CONF_DURATION, CONF(heartbeat_interval_us), "30s", .min = 100000,
     .max = 24 * 3600 * SECONDS,
     .help = "A slot that has not moved for so long is moved by a message of our own"},
    {"unchanged_toast", CONF_ENUM, CONF(unchanged_toast), "omit", .choices = toast_words,
     .given_offset = CONF(unchanged_toast_given),
     .help = "A large value that an update left alone and the server did not send; when absent: "
             "placeholder for debezium, omit otherwise"},
    {"on_lost_slot", CONF_ENUM, CONF(on_lost_slot), "stop", .choices = lost_words,
     .help = "The slot is gone and changes may be lost: stop and ask, or take a new snapshot"},
    {"streaming", CONF_BOOL, CONF(streaming), "false",
     .help =
         "Receive large transactions while they are in progress, into files in the state folder; "
         "not with `messages`"},
    {"start_from", CONF_STRING, CONF(start_from), "beginning",
     .given_offset = CONF(start_from_given),
     .help = "beginning (of the slot), now, an LSN or an event position: only when nothing is "
             "stored yet"},
    {"connect_timeout", CONF_DURATION, CONF(connect_timeout_us), "5s", .min = 1000,
     .max = 3600 * SECONDS, .help = "For connecting"},
    {"read_timeout", CONF_DURATION, CONF(read_timeout_us), "30s", .min = 1000,
     .max = 24 * 3600 * SECONDS, .help = "For every answer of the server"},
    CONF_END};

/* Whether a column has another name than the default. */
static bool columns_mapped(const struct cdc_conf *c)
{
    const char *const names[] = {
        c->columns.id,          c->columns.aggregatetype, c->columns.type,
        c->columns.aggregateid, c->columns.payload,       c->columns.headers,
        c->columns.seq,         c->columns.created_at,    c->columns.xid};
    const char *const plain[] = {"id",      "aggregatetype", "type",       "aggregateid", "payload",
                                 "headers", "seq",           "created_at", "xid"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], plain[i]) != 0) {
            return true;
        }
    }
    return false;
}

static int refuse(struct error *err, const char *key, const char *as)
{
    return error_set(err, ERROR_CONFIG, "config",
                     "source.%s means nothing with `as: %s`; remove it, or set the other `as`", key,
                     as);
}

static int refuse_resnapshot(const struct cdc_conf *c, struct error *err)
{
    if (c->on_lost_slot != CDC_LOST_RESNAPSHOT || cdc_conf_snapshot(c) != CDC_SNAPSHOT_NEVER) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "config",
        "source.on_lost_slot: resnapshot means nothing with `snapshot: never`%s: a lost slot would stop the relay all the same; set snapshot: initial, or remove it",
        c->snapshot_given ? "" : " (the default with `as: outbox`)");
}

static int refuse_where(const struct cdc_conf *c, struct error *err)
{
    for (size_t i = 0; i < c->snapshot_where.count; i++) {
        if (!c->snapshot_where.pairs[i].value[0]) {
            return error_set(err, ERROR_CONFIG, "config",
                             "source.snapshot_where has no condition for %s; write one, or leave "
                             "the table out",
                             c->snapshot_where.pairs[i].name);
        }
    }
    if (c->snapshot_where.count == 0 || cdc_conf_snapshot(c) != CDC_SNAPSHOT_NEVER) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "config",
        "source.snapshot_where means nothing with `snapshot: never`; remove it, or set snapshot: initial");
}

static int refuse_start_from(const struct cdc_conf *c, struct error *err)
{
    struct cdc_cursor ignored;
    if (strcmp(c->start_from, "beginning") == 0 || strcmp(c->start_from, "now") == 0 ||
        cdc_place_parse(c->start_from, &ignored)) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "cdc",
        "source.start_from \"%s\" is no position in the WAL: give beginning (of the slot), now, an LSN like 16/B374D848, or an event position like 16/B374D848:3",
        c->start_from);
}

/* A publication is made of names. */
static int refuse_unnamed(const struct cdc_conf *c, struct error *err)
{
    if (c->tables.count == 0) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "source.create_publication: true needs source.tables: which tables are to be published?");
    }
    for (size_t i = 0; i < c->tables.count; i++) {
        if (cdc_tables_pattern(c->tables.items[i])) {
            return error_set(
                err, ERROR_CONFIG, "config",
                "source.create_publication: true needs the names of its tables, and source.tables has the pattern \"%s\"; name them, or create the publication yourself",
                c->tables.items[i]);
        }
    }
    return RESULT_DONE;
}

int cdc_conf_refuse(const struct cdc_conf *c, struct error *err)
{
    if (c->as == CDC_AS_OUTBOX && c->snapshot_where.count > 0) {
        return refuse(err, "snapshot_where", "outbox");
    }
    if (refuse_resnapshot(c, err) || refuse_where(c, err) || refuse_start_from(c, err)) {
        return RESULT_ERROR;
    }
    if (c->streaming && c->messages.count > 0) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "source.messages cannot be had with streaming: true: PostgreSQL does not say which messages of a transaction in progress belong to a savepoint that is rolled back, so some would be sent that were never committed; remove one of the two");
    }
    if (c->as == CDC_AS_CHANGES) {
        if (strcmp(c->table, "outbox") != 0) {
            return refuse(err, "table", "changes");
        }
        if (columns_mapped(c)) {
            return refuse(err, "columns", "changes");
        }
        return c->create_publication ? refuse_unnamed(c, err) : RESULT_DONE;
    }
    if (c->tables.count > 0) {
        return refuse(err, "tables", "outbox");
    }
    if (c->snapshot == CDC_SNAPSHOT_ALWAYS) {
        return refuse(err, "snapshot: always", "outbox");
    }
    if (c->signal_table && c->signal_table[0]) {
        return refuse(err, "signal_table", "outbox");
    }
    return c->unchanged_toast_given ? refuse(err, "unchanged_toast", "outbox") : RESULT_DONE;
}

enum cdc_snapshot cdc_conf_snapshot(const struct cdc_conf *c)
{
    if (c->snapshot_given) {
        return (enum cdc_snapshot)c->snapshot;
    }
    return c->as == CDC_AS_OUTBOX ? CDC_SNAPSHOT_NEVER : CDC_SNAPSHOT_INITIAL;
}
