/* The row without its envelope, as Debezium's ExtractNewRecordState makes it: the new row, of a
 * delete the old one or nothing, and beside the columns what was asked for of the envelope. */
#include "message/debezium/debezium.h"

#include <stdio.h>

/* What can be added. A name alone means the first entry that has it. */
enum part { PART_TOP, PART_SOURCE, PART_TRANSACTION };
enum what {
    ADD_OP,
    ADD_TS_MS,
    ADD_VERSION,
    ADD_CONNECTOR,
    ADD_NAME,
    ADD_SNAPSHOT,
    ADD_DB,
    ADD_SEQUENCE,
    ADD_TS_US,
    ADD_TS_NS,
    ADD_SCHEMA,
    ADD_TABLE,
    ADD_TX_ID,
    ADD_LSN,
    ADD_TRANSACTION,
    ADD_TOTAL_ORDER,
    ADD_TABLE_ORDER,
    ADD_NULL /* xmin */
};
static const struct {
    enum part part;
    char name[24];
    enum what what;
} known[] = {{PART_TOP, "op", ADD_OP},
             {PART_TOP, "ts_ms", ADD_TS_MS},
             {PART_SOURCE, "version", ADD_VERSION},
             {PART_SOURCE, "connector", ADD_CONNECTOR},
             {PART_SOURCE, "name", ADD_NAME},
             {PART_SOURCE, "ts_ms", ADD_TS_MS},
             {PART_SOURCE, "snapshot", ADD_SNAPSHOT},
             {PART_SOURCE, "db", ADD_DB},
             {PART_SOURCE, "sequence", ADD_SEQUENCE},
             {PART_SOURCE, "ts_us", ADD_TS_US},
             {PART_SOURCE, "ts_ns", ADD_TS_NS},
             {PART_SOURCE, "schema", ADD_SCHEMA},
             {PART_SOURCE, "table", ADD_TABLE},
             {PART_SOURCE, "txId", ADD_TX_ID},
             {PART_SOURCE, "lsn", ADD_LSN},
             {PART_SOURCE, "xmin", ADD_NULL},
             {PART_TRANSACTION, "id", ADD_TRANSACTION},
             {PART_TRANSACTION, "total_order", ADD_TOTAL_ORDER},
             {PART_TRANSACTION, "data_collection_order", ADD_TABLE_ORDER}};
static const char *const parts[] = {[PART_SOURCE] = "source", [PART_TRANSACTION] = "transaction"};

enum { KNOWN = sizeof known / sizeof *known, NAME_SIZE = 256 };

/* One field of the configuration. `name` is what it is called in the message. */
struct added {
    enum what what;
    char name[NAME_SIZE];
};

/* A list of the configuration, and what the names begin with. */
struct list {
    const char *const *items;
    size_t count;
    const char *prefix;
};

static struct list fields_of(const struct encode_unwrap *u)
{
    return (struct list){u->fields, u->fields_count, u->fields_prefix};
}

static struct list headers_of(const struct encode_unwrap *u)
{
    return (struct list){u->headers, u->headers_count, u->headers_prefix};
}

static struct slice piece(const char *from, const char *to)
{
    return (struct slice){from, (size_t)(to - from)};
}

/* Reads "[part.]name[:new]". False: there is no such field, or its name is no name. */
static bool read_added(const struct list *list, size_t at, struct added *ret)
{
    const char *text = list->items[at], *prefix = list->prefix ? list->prefix : "__";
    const char *end = strchrnul(text, ':'), *dot = memchr(text, '.', (size_t)(end - text));
    struct slice part = dot ? piece(text, dot) : SLICE_NULL;
    struct slice name = piece(dot ? dot + 1 : text, end);
    for (size_t i = 0; i < KNOWN; i++) {
        const char *of = parts[known[i].part];
        if (!slice_equal_str(name, known[i].name) || (dot && (!of || !slice_equal_str(part, of)))) {
            continue;
        }
        int n = *end  ? snprintf(ret->name, sizeof ret->name, "%s%s", prefix, end + 1)
                : dot ? snprintf(ret->name, sizeof ret->name, "%s%s_%s", prefix, of, known[i].name)
                      : snprintf(ret->name, sizeof ret->name, "%s%s", prefix, known[i].name);
        ret->what = known[i].what;
        return (!*end || end[1]) && n < NAME_SIZE;
    }
    return false;
}

static int check_list(const char *key, struct list list, bool deleted, struct error *err)
{
    struct added one, other;
    for (size_t i = 0; i < list.count; i++) {
        if (!read_added(&list, i, &one)) {
            return error_set(
                err, ERROR_CONFIG, "encode",
                "encode.unwrap.%s: there is no field `%s`; there are op, ts_ms, the members of `source` (lsn, txId, table, source.ts_ms ...) and of `transaction`, each with a new name behind a colon if it should have one",
                key, list.items[i]);
        }
        bool twice = deleted && strcmp(one.name, "__deleted") == 0;
        for (size_t k = 0; k < i; k++) {
            twice = twice || (read_added(&list, k, &other) && strcmp(one.name, other.name) == 0);
        }
        if (twice) {
            return error_set(err, ERROR_CONFIG, "encode",
                             "encode.unwrap.%s has two fields `%s`; give one another name, as in "
                             "`source.ts_ms:changed_at`",
                             key, one.name);
        }
    }
    return RESULT_DONE;
}

int dbz_unwrap_check(const struct encode_conf *conf, struct error *err)
{
    const struct encode_unwrap *u = &conf->unwrap;
    return check_list("add_fields", fields_of(u), u->deletes == UNWRAP_REWRITE, err) ||
                   check_list("add_headers", headers_of(u), false, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

void dbz_unwrap_shape(const struct encode_conf *conf, struct change_shape *ret)
{
    ret->tombstones = false;
    ret->skip[CHANGE_TRUNCATE] = true;
    ret->skip[CHANGE_DELETE] = ret->skip[CHANGE_DELETE] || conf->unwrap.deletes == UNWRAP_DROP;
}

static void add_literal(struct buf *out, const char *text)
{
    buf_printf(out, "\"%s\"", text);
}

/* Where a snapshot is not spoken of, the envelope has the default "false". The default is not taken
 * over with the field. */
static void add_snapshot(struct buf *out, enum snapshot_mark mark)
{
    if (mark == SNAPSHOT_NO) {
        DBZ_LITERAL(out, "null");
    } else {
        add_literal(out, dbz_snapshot_name(mark));
    }
}

static void add_number(struct buf *out, uint64_t v)
{
    if (v) {
        dbz_u64(out, v);
    } else {
        DBZ_LITERAL(out, "null");
    }
}

/* Appends the JSON of one value. */
static int add_value(const struct encode_conf *conf, const struct change *c, enum what what,
                     struct buf *out, struct error *err)
{
    switch (what) {
    case ADD_OP:
        add_literal(out, (const char[]){(char)c->op, '\0'});
        break;
    case ADD_TS_MS:
        dbz_i64(out, dbz_millis(c->commit_us));
        break;
    case ADD_VERSION:
        add_literal(out, COMMITRELAY_VERSION);
        break;
    case ADD_CONNECTOR:
        add_literal(out, "postgresql");
        break;
    case ADD_NAME:
        return dbz_name(out, slice_from(conf->name), err);
    case ADD_SNAPSHOT:
        add_snapshot(out, c->snapshot);
        break;
    case ADD_DB:
        return dbz_name(out, c->database, err);
    case ADD_SEQUENCE:
        dbz_sequence(out, c);
        break;
    case ADD_TS_US:
        dbz_i64(out, c->commit_us);
        break;
    case ADD_TS_NS:
        dbz_nanos(out, c->commit_us);
        break;
    case ADD_SCHEMA:
        return dbz_name(out, c->table->schema, err);
    case ADD_TABLE:
        return dbz_name(out, c->table->name, err);
    case ADD_TX_ID:
        add_number(out, c->xid);
        break;
    case ADD_LSN:
        dbz_lsn(out, c);
        break;
    case ADD_TRANSACTION:
        if (c->total_order) {
            dbz_transaction_id(out, c);
            break;
        }
        DBZ_LITERAL(out, "null");
        break;
    case ADD_TOTAL_ORDER:
        add_number(out, c->total_order);
        break;
    case ADD_TABLE_ORDER:
        add_number(out, c->table_order);
        break;
    case ADD_NULL:
        DBZ_LITERAL(out, "null");
        break;
    }
    return RESULT_DONE;
}

/* Two members of one name would make the row ambiguous. */
static int refuse_same(const struct change *c, const char *name, struct error *err)
{
    for (size_t i = 0; i < c->table->columns_count; i++) {
        const struct change_column *column = &c->table->columns[i];
        if (!column->hidden && slice_equal_str(column->name, name)) {
            return error_set(
                err, ERROR_POISON, "encode",
                "column %s of %.*s.%.*s has the name of a field that encode.unwrap adds; give the field another one (`op:NAME`), or leave the column out (encode.exclude_columns)",
                name, SLICE_FMT(c->table->schema), SLICE_FMT(c->table->name));
        }
    }
    return RESULT_DONE;
}

static void add_name(struct buf *out, const char *name, char *separator)
{
    dbz_add_char(out, *separator);
    *separator = ',';
    (void)dbz_string(out, slice_from(name)); /* the configuration is UTF-8 */
    dbz_add_char(out, ':');
}

static int add_list(const struct encode_conf *conf, const struct change *c, struct list list,
                    struct buf *out, char *separator, struct error *err)
{
    struct added one;
    for (size_t i = 0; i < list.count; i++) {
        if (!read_added(&list, i, &one)) {
            continue; /* dbz_unwrap_check has refused it */
        }
        add_name(out, one.name, separator);
        if (add_value(conf, c, one.what, out, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

static int refuse_all_same(const struct encode_unwrap *u, const struct change *c, struct error *err)
{
    struct list list = fields_of(u);
    struct added one;
    if (u->deletes == UNWRAP_REWRITE && refuse_same(c, "__deleted", err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < list.count; i++) {
        if (read_added(&list, i, &one) && refuse_same(c, one.name, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

int dbz_unwrap(struct dbz *d, const struct change *c, struct error *err)
{
    const struct encode_unwrap *u = &d->conf->unwrap;
    const struct cell *cells = c->op == CHANGE_DELETE ? c->before : c->after;
    char separator = '{';
    if (!cells || (c->op == CHANGE_DELETE && u->deletes != UNWRAP_REWRITE)) {
        return RESULT_DONE;
    }
    if (refuse_all_same(u, c, err) || dbz_row(d, c, cells, &separator, err)) {
        return RESULT_ERROR;
    }
    if (u->deletes == UNWRAP_REWRITE) {
        add_name(d->out, "__deleted", &separator);
        add_literal(d->out, c->op == CHANGE_DELETE ? "true" : "false");
    }
    if (add_list(d->conf, c, fields_of(u), d->out, &separator, err)) {
        return RESULT_ERROR;
    }
    dbz_close(d->out, separator);
    return RESULT_DONE;
}

int dbz_unwrap_headers(const struct encode_conf *conf, const struct change *c, struct buf *out,
                       char *separator, struct error *err)
{
    return !c->table ? RESULT_DONE
                     : add_list(conf, c, headers_of(&conf->unwrap), out, separator, err);
}
