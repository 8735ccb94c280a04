/* A change as JSON, as Debezium 3.0.8 writes it: rows, keys and the envelope around them. Consumers
 * compare and parse these bytes, so even the sequence of members and the notation of numbers
 * matter. */
#include "message/debezium/debezium.h"

static int fault(const struct change *c, const struct change_column *column, struct error *err)
{
    return error_set(
        err, ERROR_POISON, "encode",
        "column %.*s of %.*s.%.*s has a value that is not one of type %.*s (or not UTF-8); mend the row, or leave the column out of the publication",
        SLICE_FMT(column->name), SLICE_FMT(c->table->schema), SLICE_FMT(c->table->name),
        SLICE_FMT(column->type->name));
}

/* An unfinished value is cut off before the next attempt. */
enum dbz_said dbz_cell(struct dbz *d, const struct change_column *column, const struct dbz_type *t,
                       const struct cell *cell)
{
    size_t start = d->out->len;
    enum dbz_said said = DBZ_NO_WORD;
    if (cell->kind == CELL_TEXT) {
        said = dbz_value(d, t, cell->text);
    } else if (cell->kind == CELL_UNCHANGED) {
        said = dbz_unavailable(d, t);
    }
    if (said == DBZ_NO_WORD && !slice_is_null(column->default_text)) {
        buf_truncate(d->out, start);
        said = dbz_default(d, t, column->default_text);
    }
    if (said == DBZ_NO_WORD && column->not_null && cell->kind == CELL_ABSENT) {
        buf_truncate(d->out, start);
        said = dbz_fallback(d, t);
    }
    if (said == DBZ_NO_WORD) {
        buf_truncate(d->out, start);
        DBZ_LITERAL(d->out, "null");
    }
    return said;
}

/* Adds "name":value, with *separator before it: "{" for the first member, then a comma. Adds
 * nothing for a type that Debezium does not know and for an unchanged value that is to be left out.
 */
static int add_field(struct dbz *d, const struct change *c, size_t i, const struct cell *cells,
                     char *separator, struct error *err)
{
    const struct change_column *column = &c->table->columns[i];
    struct dbz_type t = dbz_type_of(column->type, column->typmod);
    if (t.kind == DBZ_OMIT || (c->omit_unchanged && cells[i].kind == CELL_UNCHANGED)) {
        return RESULT_DONE;
    }
    dbz_add_char(d->out, *separator);
    *separator = ',';
    if (!dbz_string(d->out, column->name)) {
        return fault(c, column, err);
    }
    dbz_add_char(d->out, ':');
    return dbz_cell(d, column, &t, &cells[i]) == DBZ_FAULT ? fault(c, column, err) : RESULT_DONE;
}

void dbz_close(struct buf *out, char separator)
{
    if (separator == '{') {
        dbz_add_char(out, '{');
    }
    dbz_add_char(out, '}');
}

int dbz_row(struct dbz *d, const struct change *c, const struct cell *cells, char *separator,
            struct error *err)
{
    for (size_t i = 0; i < c->table->columns_count; i++) {
        if (!c->table->columns[i].hidden && add_field(d, c, i, cells, separator, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

static int add_row(struct dbz *d, const struct change *c, const struct cell *cells,
                   struct error *err)
{
    char separator = '{';
    if (!cells) {
        DBZ_LITERAL(d->out, "null");
        return RESULT_DONE;
    }
    if (dbz_row(d, c, cells, &separator, err)) {
        return RESULT_ERROR;
    }
    dbz_close(d->out, separator);
    return RESULT_DONE;
}

static int add_key(struct dbz *d, const struct change *c, const struct cell *cells,
                   struct error *err)
{
    char separator = '{';
    for (size_t i = 0; i < c->table->key_count; i++) {
        if (add_field(d, c, c->table->key[i], cells, &separator, err)) {
            return RESULT_ERROR;
        }
    }
    dbz_close(d->out, separator);
    return RESULT_DONE;
}

int dbz_key(struct dbz *d, const struct change *c, const struct cell *cells, struct error *err)
{
    if (c->op == CHANGE_MESSAGE) {
        DBZ_LITERAL(d->out, "{\"prefix\":");
        int rc = dbz_name(d->out, c->prefix, err);
        dbz_add_char(d->out, '}');
        return rc;
    }
    if (!c->table) {
        return dbz_boundary_key(d, c, err);
    }
    return c->table->key_count > 0 && cells ? add_key(d, c, cells, err) : RESULT_DONE;
}

void dbz_nanos(struct buf *out, int64_t us)
{
    dbz_i64(out, us);
    if (us != 0) {
        DBZ_LITERAL(out, "000");
    }
}

/* The commit time in microseconds and nanoseconds. Outside of `source` Debezium takes the clock of
 * the connector. We take the commit time there too, so that an event that is sent twice has the
 * same bytes. */
static void add_more_clocks(struct buf *out, int64_t us)
{
    DBZ_LITERAL(out, ",\"ts_us\":");
    dbz_i64(out, us);
    DBZ_LITERAL(out, ",\"ts_ns\":");
    dbz_nanos(out, us);
}

/* A row of a snapshot beside the stream stands at no place of the WAL. */
static bool has_lsn(const struct change *c)
{
    return c->snapshot != SNAPSHOT_INCREMENTAL;
}

void dbz_lsn(struct buf *out, const struct change *c)
{
    if (has_lsn(c)) {
        dbz_u64(out, c->lsn);
    } else {
        DBZ_LITERAL(out, "null");
    }
}

void dbz_sequence(struct buf *out, const struct change *c)
{
    DBZ_LITERAL(out, "\"[");
    if (c->last_commit_lsn) {
        DBZ_LITERAL(out, "\\\"");
        dbz_u64(out, c->last_commit_lsn);
        DBZ_LITERAL(out, "\\\"");
    } else {
        DBZ_LITERAL(out, "null");
    }
    if (has_lsn(c)) {
        DBZ_LITERAL(out, ",\\\"");
        dbz_u64(out, c->lsn);
        DBZ_LITERAL(out, "\\\"]\"");
    } else {
        DBZ_LITERAL(out, ",null]\"");
    }
}

const char *dbz_snapshot_name(enum snapshot_mark mark)
{
    switch (mark) {
    case SNAPSHOT_FIRST:
        return "first";
    case SNAPSHOT_FIRST_IN_TABLE:
        return "first_in_data_collection";
    case SNAPSHOT_TRUE:
        return "true";
    case SNAPSHOT_LAST_IN_TABLE:
        return "last_in_data_collection";
    case SNAPSHOT_LAST:
        return "last";
    case SNAPSHOT_INCREMENTAL:
        return "incremental";
    case SNAPSHOT_NO:
    default:
        return "false";
    }
}

static int add_names(struct buf *out, const struct change *c, struct error *err)
{
    DBZ_LITERAL(out, ",\"schema\":");
    if (dbz_name(out, c->table ? c->table->schema : slice_from(""), err)) {
        return RESULT_ERROR;
    }
    DBZ_LITERAL(out, ",\"table\":");
    return dbz_name(out, c->table ? c->table->name : slice_from(""), err);
}

/* The member `source`: where the change comes from. txId is null where no transaction has a number;
 * xmin is always null. */
static int add_source(struct dbz *d, const struct change *c, struct error *err)
{
    struct buf *out = d->out;
    DBZ_LITERAL(out,
                "{\"version\":\"" COMMITRELAY_VERSION "\",\"connector\":\"postgresql\",\"name\":");
    if (dbz_name(out, slice_from(d->conf->name), err)) {
        return RESULT_ERROR;
    }
    DBZ_LITERAL(out, ",\"ts_ms\":");
    dbz_i64(out, dbz_millis(c->commit_us));
    DBZ_LITERAL(out, ",\"snapshot\":\"");
    buf_add_str(out, dbz_snapshot_name(c->snapshot));
    DBZ_LITERAL(out, "\",\"db\":");
    if (dbz_name(out, c->database, err)) {
        return RESULT_ERROR;
    }
    DBZ_LITERAL(out, ",\"sequence\":");
    dbz_sequence(out, c);
    add_more_clocks(out, c->commit_us);
    if (add_names(out, c, err)) {
        return RESULT_ERROR;
    }
    DBZ_LITERAL(out, ",\"txId\":");
    if (c->xid) {
        dbz_u64(out, c->xid);
    } else {
        DBZ_LITERAL(out, "null");
    }
    DBZ_LITERAL(out, ",\"lsn\":");
    dbz_lsn(out, c);
    DBZ_LITERAL(out, ",\"xmin\":null}");
    return RESULT_DONE;
}

static int add_message(struct dbz *d, const struct change *c, struct error *err)
{
    struct buf *out = d->out;
    DBZ_LITERAL(out, "{\"op\":\"m\",\"ts_ms\":");
    dbz_i64(out, dbz_millis(c->commit_us));
    DBZ_LITERAL(out, ",\"source\":");
    if (add_source(d, c, err)) {
        return RESULT_ERROR;
    }
    DBZ_LITERAL(out, ",\"transaction\":");
    dbz_transaction_block(out, c);
    DBZ_LITERAL(out, ",\"message\":{\"prefix\":");
    if (dbz_name(out, c->prefix, err)) {
        return RESULT_ERROR;
    }
    DBZ_LITERAL(out, ",\"content\":");
    dbz_binary(d, c->content);
    DBZ_LITERAL(out, "}}");
    return RESULT_DONE;
}

int dbz_envelope(struct dbz *d, const struct change *c, struct error *err)
{
    struct buf *out = d->out;
    if (c->op == CHANGE_MESSAGE) {
        return add_message(d, c, err);
    }
    DBZ_LITERAL(out, "{\"before\":");
    if (add_row(d, c, c->before, err)) {
        return RESULT_ERROR;
    }
    DBZ_LITERAL(out, ",\"after\":");
    if (add_row(d, c, c->after, err)) {
        return RESULT_ERROR;
    }
    DBZ_LITERAL(out, ",\"source\":");
    if (add_source(d, c, err)) {
        return RESULT_ERROR;
    }
    DBZ_LITERAL(out, ",\"transaction\":");
    dbz_transaction_block(out, c);
    DBZ_LITERAL(out, ",\"op\":\"");
    dbz_add_char(out, (char)c->op);
    DBZ_LITERAL(out, "\",\"ts_ms\":");
    dbz_i64(out, dbz_millis(c->commit_us));
    add_more_clocks(out, c->commit_us);
    dbz_add_char(out, '}');
    return RESULT_DONE;
}
