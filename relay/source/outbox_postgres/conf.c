/*
 * The configuration keys of an outbox table in PostgreSQL, and the combinations of settings that
 * are refused because delivery could not be kept complete or in order.
 */
#include "source/kit/prune_keys.h"
#include "source/outbox_postgres/internal.h"

static const char *const modes[] = {[OUTBOX_PG_POSITION] = "position",
                                    [OUTBOX_PG_STATUS] = "status",
                                    [OUTBOX_PG_DELETE] = "delete",
                                    NULL};

const struct outbox_pg_mode *outbox_pg_mode(const struct outbox_pg_conf *conf)
{
    static const struct outbox_pg_mode *const of[] = {[OUTBOX_PG_POSITION] = &outbox_pg_position,
                                                      [OUTBOX_PG_STATUS] = &outbox_pg_status,
                                                      [OUTBOX_PG_DELETE] = &outbox_pg_delete};
    return of[conf->mode];
}

#define NAME(which) offsetof(struct outbox_pg_names, name[which])
#define GIVEN(which) offsetof(struct outbox_pg_names, given[which])
#define COLUMN(key, which, text)                                                       \
    {                                                                                  \
        key, CONF_STRING, NAME(which), key, .given_offset = GIVEN(which), .help = text \
    }

static const struct conf_key column_keys[] = {
    COLUMN("id", OUTBOX_PG_ID, "The event id: unique, given by the application"),
    COLUMN("aggregatetype", OUTBOX_PG_AGGREGATETYPE, "What the event is about"),
    COLUMN("aggregateid", OUTBOX_PG_AGGREGATEID, "The key: events of one key keep their order"),
    COLUMN("type", OUTBOX_PG_TYPE, "The event's type"),
    COLUMN("payload", OUTBOX_PG_PAYLOAD, "json, jsonb, bytea or anything that has a text form"),
    COLUMN("headers", OUTBOX_PG_HEADERS, "A JSON object; may be missing unless named here"),
    COLUMN("created_at", OUTBOX_PG_CREATED_AT, "A timestamp; may be missing unless named here"),
    COLUMN("seq", OUTBOX_PG_SEQ, "Grows with each insert"),
    COLUMN("xid", OUTBOX_PG_XID, "xid8 of the inserting transaction (mode: position)"),
    CONF_END};

#define CONF(field) offsetof(struct outbox_pg_conf, field)

const struct conf_key outbox_pg_keys[] = {
    {"url", CONF_SECRET, CONF(url), .required = true,
     .help = "postgresql://... or a libpq conninfo string; a direct connection to the primary"},
    {"table", CONF_STRING, CONF(table), "outbox", .help = "schema.table; public if bare"},
    {"mode", CONF_ENUM, CONF(mode), "position", .choices = modes,
     .help = "position only reads; status marks rows; delete removes them"},
    {"columns", CONF_GROUP, CONF(columns), .group = column_keys,
     .help = "Names of the table's columns"},
    {"order_by", CONF_STRING, CONF(order_by), "seq", .given_offset = CONF(order_by_given),
     .help = "Modes status and delete: another column to order by (id breaks ties), or \"\""},
    {"start_from", CONF_STRING, CONF(start_from), "beginning",
     .help = "beginning, now or an event position: only when nothing is stored yet"},
    {"batch_size", CONF_INT, CONF(batch_size), "1000", .min = 1, .max = 100000,
     .help = "Rows a read"},
    {"poll_interval", CONF_DURATION, CONF(poll_interval_us), "50ms",
     .given_offset = CONF(poll_interval_given), .min = 1000, .max = 3600 * INT64_C(1000000),
     .help =
         "The longest wait at rest; it adapts down to 5 ms under load. With a notify_channel 1s "
         "if it is not given"},
    {"notify_channel", CONF_STRING, CONF(notify_channel), "",
     .help = "LISTEN on it: an event at rest is read at once"},
    {"shards", CONF_INT, CONF(shards), "1", .min = 1, .max = PART_SHARDS_MAX,
     .help = "Into how many shards the pipeline is divided, which several relays share"},
    {"shard_by", CONF_STRING, CONF(shard_by), "aggregateid",
     .help = "What decides about an event's shard: aggregateid, or another column of route.key"},
    {"connect_timeout", CONF_DURATION, CONF(connect_timeout_us), "5s", .min = 1000,
     .max = 3600 * INT64_C(1000000), .help = "For connecting"},
    {"read_timeout", CONF_DURATION, CONF(read_timeout_us), "30s", .min = 1000,
     .max = 24 * 3600 * INT64_C(1000000), .help = "For every answer of the server"},
    {"prune", CONF_GROUP, CONF(prune), .group = prune_keys, .given_offset = CONF(prune.given),
     .help = "Delivered rows are removed by the daemon; absent: never"},
    CONF_END};

static const char *bare(const char *table)
{
    return strncmp(table, "public.", 7) == 0 ? table + 7 : table;
}

/* Rows that one pipeline has marked or deleted, another one never sees. */
bool outbox_pg_clash(const struct pipeline_of *a, const struct pipeline_of *b, struct buf *ret_what)
{
    const struct outbox_pg_conf *one = a->conf, *two = b->conf;
    bool both_write = one->mode != OUTBOX_PG_POSITION && two->mode != OUTBOX_PG_POSITION;
    bool deletes = one->mode == OUTBOX_PG_DELETE || two->mode == OUTBOX_PG_DELETE;
    bool clash = (both_write || deletes) && strcmp(bare(one->table), bare(two->table)) == 0 &&
                 pg_same_server(one->url, two->url, true);
    if (clash) {
        buf_printf(ret_what, "source.table %s (mode %s)", one->table,
                   deletes ? outbox_pg_delete.name : outbox_pg_status.name);
    }
    return clash;
}

void outbox_pg_store_url(const void *conf, struct buf *out)
{
    const struct outbox_pg_conf *c = conf;
    buf_add_str(out, c->url);
}

void outbox_pg_timeouts(const void *conf, int64_t *connect_us, int64_t *read_us)
{
    const struct outbox_pg_conf *c = conf;
    *connect_us = c->connect_timeout_us;
    *read_us = c->read_timeout_us;
}

void outbox_pg_rows(const void *conf, struct outbox_rows *ret)
{
    const struct outbox_pg_conf *c = conf;
    *ret = (struct outbox_rows){.table = c->table,
                                .mode = outbox_pg_mode(c)->name,
                                .seq = c->columns.name[OUTBOX_PG_SEQ],
                                .xid = c->columns.name[OUTBOX_PG_XID],
                                .shard_by = outbox_pg_shard_by(c)};
}

const char *outbox_pg_prune_needless(const void *conf)
{
    const struct outbox_pg_conf *c = conf;
    return c->mode == OUTBOX_PG_DELETE
               ? "mode: delete removes each row once it is delivered, so nothing is left to prune"
               : NULL;
}

int outbox_pg_refuse_conf(const struct outbox_pg_conf *conf, const struct source_env *env,
                          struct error *err)
{
    const char *seq = conf->columns.name[OUTBOX_PG_SEQ];
    CLEANUP(buf_release) struct buf quoted = {0};
    if (pg_quote_table(&quoted, conf->table, err)) {
        return error_prefix(err, "source.table");
    }
    if (conf->notify_channel[0] && pg_quote_name(&quoted, slice_from(conf->notify_channel), err)) {
        return error_prefix(err, "source.notify_channel");
    }
    if (outbox_pg_check_position(conf->start_from, err)) {
        return error_prefix(err, "source.start_from");
    }
    /* Each shard would begin where the table ends when some relay takes it first: after a crash
     * that may be an hour later than the others, and the events of that hour would be passed over.
     */
    if (conf->shards > 1 && strcmp(conf->start_from, "beginning") != 0) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "source.start_from \"%s\": shards are taken one after the other, so each would begin at another place; remove start_from",
            conf->start_from);
    }
    if (conf->prune.given && outbox_pg_prune_needless(conf)) {
        return error_set(err, ERROR_CONFIG, "config", "source.prune: %s; remove it",
                         outbox_pg_prune_needless(conf));
    }
    if (outbox_pg_mode(conf)->has_positions) {
        if (conf->order_by_given && strcmp(conf->order_by, seq) != 0) {
            return error_set(
                err, ERROR_CONFIG, "config",
                "source.order_by \"%s\": mode: position always orders by columns.seq (\"%s\"); remove order_by, or use mode: status or delete",
                conf->order_by, seq);
        }
        return RESULT_DONE;
    }
    if (strcmp(conf->start_from, "beginning") != 0) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "source.start_from \"%s\": mode: %s has no position, it relays every pending row; remove start_from, or mark or delete the rows not wanted",
            conf->start_from, outbox_pg_mode(conf)->name);
    }
    if (conf->order_by_given && !conf->order_by[0] && env->ordered) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "source.order_by \"\" gives no order, which delivery.ordered: true promises: name a column that grows, or set delivery.ordered: false");
    }
    return RESULT_DONE;
}
