/*
 * The configuration of a cdc_postgres source. config/ fills it by the table cdc_conf_keys, whose
 * help texts say what each key means. Times are in microseconds. The strings belong to the
 * configuration; nothing here is changed after it was read, so any thread may read it.
 */
#pragma once

#include "base/error.h"
#include "config/conf_key.h"
#include <stdbool.h>

enum cdc_as { CDC_AS_CHANGES, CDC_AS_OUTBOX };
enum cdc_snapshot { CDC_SNAPSHOT_INITIAL, CDC_SNAPSHOT_NEVER, CDC_SNAPSHOT_ALWAYS };
enum cdc_toast { CDC_TOAST_OMIT, CDC_TOAST_PLACEHOLDER };
enum cdc_lost_slot { CDC_LOST_STOP, CDC_LOST_RESNAPSHOT };

struct cdc_conf {
    char *url;
    char *slot, *publication; /* "": commitrelay_<pipeline> */
    bool create_slot, create_publication;
    int as;
    struct conf_list tables;
    char *table; /* as: outbox; "schema.table", or a bare name in public */
    struct {
        char *id, *aggregatetype, *aggregateid, *type, *payload, *headers, *created_at, *seq, *xid;
        bool headers_given, created_at_given;
    } columns;
    struct conf_list messages;
    int snapshot;
    bool snapshot_given;
    struct conf_map snapshot_where; /* by table, as schema.table: SQL, a condition */
    int64_t heartbeat_interval_us;
    int unchanged_toast;
    bool unchanged_toast_given;
    int on_lost_slot;
    bool streaming;
    char *signal_table; /* "schema.table"; NULL or "": none */
    char *start_from;
    bool start_from_given;
    int64_t connect_timeout_us, read_timeout_us;
};

extern const struct conf_key cdc_conf_keys[];

/* The flat format puts the columns and the relay's own members into one JSON object. If two have
 * the same name, a parser keeps one of them and drops the other, so such a table is refused.
 * Arguments of the text: schema, table, column; of the remedy: the prefix. */
#define OWN_NAME_TEXT                                                                           \
    "table %.*s.%.*s has a column \"%.*s\", which is also the name of a member that says what " \
    "happened to the row"
#define OWN_NAME_REMEDY                                                                     \
    "set encode.flat_prefix (now \"%s\") to what no column's name begins with, rename the " \
    "column, or leave it out of the publication"

/* PostgreSQL stores money as a whole number of small units, such as cents. Only lc_monetary says
 * how many of them make one; with another number than MONEY_UNIT amounts would come out wrong.
 * Arguments of the text: schema, table, column. */
enum { MONEY_UNIT = 100, MONEY_OID = 790 };
#define MONEY_TEXT                                                                              \
    "table %.*s.%.*s has a column \"%.*s\" of type money, which has not two digits behind the " \
    "point in this database (lc_monetary)"
#define MONEY_REMEDY                                                                           \
    "make it numeric (ALTER TABLE ... ALTER COLUMN ... TYPE numeric), or leave it out of the " \
    "publication, or take format flat, which sends the server's text"

/* ERROR_CONFIG for keys that contradict each other, and for keys that would be accepted and then
 * ignored. No I/O. */
int cdc_conf_refuse(const struct cdc_conf *c, struct error *err) MUST_CHECK;

/* The value of `snapshot`. If it is not given: initial for changes, never for an outbox. */
enum cdc_snapshot cdc_conf_snapshot(const struct cdc_conf *c);
