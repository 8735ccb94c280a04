/* The format `debezium`: makes the key, the value and the headers that Debezium 3.0.8 would send
 * for a change, byte for byte. docs/DEBEZIUM.md lists what differs on purpose. */
#include "message/debezium/debezium.h"

#include "message/internal.h"

static void release(struct dbz *d)
{
    dbz_scratch_release(&d->scratch);
}

int dbz_flat_key(const struct encode_conf *conf, const struct change *c, const struct cell *cells,
                 struct buf *out, struct error *err)
{
    CLEANUP(release) struct dbz d = {.conf = conf, .out = out};
    size_t start = out->len;
    int rc = dbz_key(&d, c, cells, err);
    if (rc) {
        buf_truncate(out, start);
    }
    return rc;
}

int dbz_flat_row(const struct encode_conf *conf, const struct change *c, const struct cell *cells,
                 struct buf *out, struct error *err)
{
    CLEANUP(release) struct dbz d = {.conf = conf, .out = out};
    size_t start = out->len;
    char separator = '{';
    if (dbz_row(&d, c, cells, &separator, err)) {
        return RESULT_ERROR;
    }
    if (separator == ',') { /* the comma stands behind the members here, and not before them */
        memmove(out->data + start, out->data + start + 1, out->len - start - 1);
        out->data[out->len - 1] = ',';
    }
    return RESULT_DONE;
}

bool encode_column_known(const struct change_column *column)
{
    return dbz_type_of(column->type, column->typmod).kind != DBZ_OMIT;
}

int encode_column_value(const struct encode_conf *conf, const struct change_column *column,
                        const struct cell *cell, struct buf *out, struct error *err)
{
    CLEANUP(release) struct dbz d = {.conf = conf, .out = out};
    size_t start = out->len;
    struct dbz_type t = dbz_type_of(column->type, column->typmod);
    if (t.kind != DBZ_OMIT && dbz_cell(&d, column, &t, cell) != DBZ_FAULT) {
        return RESULT_DONE;
    }
    buf_truncate(out, start);
    return error_set(
        err, ERROR_POISON, "encode",
        t.kind == DBZ_OMIT
            ? "column %.*s is of type %.*s, which Debezium does not know; take it out of encode.envelope"
            : "column %.*s has a value that is not one of type %.*s (or not UTF-8); mend the row",
        SLICE_FMT(column->name), SLICE_FMT(column->type->name));
}

bool dbz_payload_string(const struct encode_conf *conf, const struct event *e, struct buf *out)
{
    struct dbz d = {.conf = conf, .out = out};
    if (e->payload_kind != PAYLOAD_BYTES) {
        return dbz_string(out, e->payload);
    }
    dbz_binary(&d, e->payload);
    return true;
}

/* On an error `out` is as it was. */
static int debezium_value(const struct encode_conf *conf, const struct change *c, struct buf *out,
                          struct error *err)
{
    CLEANUP(release) struct dbz d = {.conf = conf, .out = out};
    size_t start = out->len;
    int rc = c->op == CHANGE_BEGIN || c->op == CHANGE_END ? dbz_boundary(&d, c, err)
             : c->op == CHANGE_HEARTBEAT                  ? dbz_heartbeat(&d, c)
             : conf->unwrap.on && c->table                ? dbz_unwrap(&d, c, err)
                                                          : dbz_envelope(&d, c, err);
    if (rc) {
        buf_truncate(out, start);
    }
    return rc;
}

static void shape(const struct encode_conf *conf, struct change_shape *ret)
{
    ret->tombstones = conf->tombstones;
    ret->split_key_change = true;
    ret->messages = true;
    ret->plain_money = true;
    ret->placeholder = true;
    ret->transactions = conf->transaction_metadata;
    ret->heartbeats = conf->heartbeat_topic && conf->heartbeat_topic[0];
    if (conf->unwrap.on) {
        dbz_unwrap_shape(conf, ret);
    }
}

/* An update that changes the key becomes a delete and a create. Each names the key of the other one
 * in a header, so that a consumer can tell that the row was not really deleted. */
static int add_other_key(const struct encode_conf *conf, const struct change *c, struct buf *out,
                         char *separator, struct error *err)
{
    size_t start = out->len;
    buf_printf(out, "%c\"__debezium.%skey\":", *separator, c->op == CHANGE_CREATE ? "old" : "new");
    size_t key = out->len;
    if (dbz_flat_key(conf, c, c->other_key, out, err) < 0) {
        return RESULT_ERROR;
    }
    if (out->len == key) {
        buf_truncate(out, start);
    } else {
        *separator = ',';
    }
    return RESULT_DONE;
}

static int change_headers(const struct encode_conf *conf, const struct change *c, struct buf *out,
                          struct error *err)
{
    char separator = '{';
    if ((c->other_key && add_other_key(conf, c, out, &separator, err)) ||
        (conf->unwrap.on && dbz_unwrap_headers(conf, c, out, &separator, err))) {
        return RESULT_ERROR;
    }
    if (separator != '{') {
        dbz_add_char(out, '}');
    }
    return RESULT_DONE;
}

static void schemas(const struct encode_conf *conf, const struct change_table *table,
                    struct arena *arena, const struct connect_schema **ret_key,
                    const struct connect_schema **ret_value)
{
    dbz_schemas(conf, table, false, arena, ret_key, ret_value);
}

static const char *const keys[] = {FORMAT_CHANGE_KEYS,
                                   "tombstones",
                                   "decimal",
                                   "time",
                                   "binary",
                                   "interval",
                                   "hstore",
                                   "unwrap",
                                   "value",
                                   "schemas",
                                   "transaction_metadata",
                                   "heartbeat_topic",
                                   NULL};

const struct format_ops format_debezium = {.can = FORMAT_CHANGES,
                                           .keys = keys,
                                           .check = dbz_unwrap_check,
                                           .shape = shape,
                                           .change_key = dbz_flat_key,
                                           .change_value = debezium_value,
                                           .change_headers = change_headers,
                                           .schemas = schemas};
