/* The flat row of a table change: one JSON object with the columns of the row, and our own members
 * (__op, __table, __lsn ...) beside them. Values keep every digit. A value that the server did not
 * send is replaced by the placeholder, or left out and listed, so that a consumer does not take it
 * for null or for deleted. */
#include "message/internal.h"

#include "value/json.h"
#include "value/pg_array.h"
#include <inttypes.h>

/* Type oids of PostgreSQL (pg_type.dat); these never change. */
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_OID = 26,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700,
    OID_JSONB = 3802
};

static int add_value(struct buf *out, const struct column_type *type, struct slice text,
                     struct error *err);

/* Errors below begin with "it": the caller puts the column's name before them (name_column). */
static int add_string(struct buf *out, struct slice text, struct error *err)
{
    if (!encode_json_string(out, text)) {
        return error_set(err, ERROR_POISON, "encode",
                         "it is not UTF-8 text, which JSON needs; mend the row");
    }
    return RESULT_DONE;
}

/* Copies the digits as they are; a double in between would lose some. NaN and the infinities are no
 * JSON numbers, so they become strings. */
static int add_number(struct buf *out, struct slice text, struct error *err)
{
    enum json_kind kind = JSON_IS_NULL;
    size_t fault = 0;
    if (!json_check(text, &kind, &fault) || kind != JSON_IS_NUMBER) {
        return add_string(out, text, err);
    }
    buf_add_slice(out, text);
    return RESULT_DONE;
}

static int add_json(struct buf *out, struct slice text, struct error *err)
{
    enum json_kind kind = JSON_IS_NULL;
    size_t fault = 0;
    if (!json_check(text, &kind, &fault)) {
        return error_set(err, ERROR_POISON, "encode",
                         "it is not valid JSON (byte %zu of %zu); mend the row", fault, text.len);
    }
    encode_json_one_line(out, text);
    return RESULT_DONE;
}

/* An SQL array becomes a JSON array, nested where it has more than one dimension. */
static int add_array(struct buf *out, const struct column_type *type, struct slice text,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf scratch = {0};
    struct pg_array array = pg_array_walk(text, type->delimiter, &scratch);
    struct slice element = SLICE_NULL;
    bool comma = false;
    buf_add_char(out, '[');
    for (;;) {
        enum pg_array_step step = pg_array_next(&array, &element);
        if (step == PG_ARRAY_FAULT) {
            return error_set(err, ERROR_POISON, "encode",
                             "its text is no array as PostgreSQL writes them; please report this");
        }
        if (step == PG_ARRAY_END || step == PG_ARRAY_CLOSE) {
            buf_add_char(out, ']');
            if (step == PG_ARRAY_END) {
                return RESULT_DONE;
            }
            comma = true;
            continue;
        }
        if (comma) {
            buf_add_char(out, ',');
        }
        comma = step == PG_ARRAY_VALUE;
        if (step == PG_ARRAY_OPEN) {
            buf_add_char(out, '[');
        } else if (slice_is_null(element)) {
            buf_add(out, "null", 4);
        } else if (add_value(out, type->element, element, err) < 0) {
            return RESULT_ERROR;
        }
    }
}

/* Whether the text is that of an array. The catalog calls int2vector and oidvector arrays, but
 * their texts have no braces, so they are sent as strings. */
static bool is_array(const struct column_type *type, struct slice text)
{
    return type->kind == TYPE_ARRAY && type->element && text.len > 0 &&
           (text.ptr[0] == '{' || text.ptr[0] == '[');
}

static int add_value(struct buf *out, const struct column_type *type, struct slice text,
                     struct error *err)
{
    if (is_array(type, text)) {
        return add_array(out, type, text, err);
    }
    switch (type->base_oid) {
    case OID_BOOL:
        buf_add_str(out, slice_equal_str(text, "t") ? "true" : "false");
        return RESULT_DONE;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_OID:
    case OID_FLOAT4:
    case OID_FLOAT8:
    case OID_NUMERIC:
        return add_number(out, text, err);
    case OID_JSON:
    case OID_JSONB:
        return add_json(out, text, err);
    default:
        return add_string(out, text, err);
    }
}

/* Puts the column's name before the error text. Always returns RESULT_ERROR. */
static int name_column(const struct change *c, size_t column, struct error *err)
{
    const struct change_table *t = c->table;
    return error_prefix(err, "column %.*s of %.*s.%.*s", SLICE_FMT(t->columns[column].name),
                        SLICE_FMT(t->schema), SLICE_FMT(t->name));
}

/* Adds "name": with a comma before it, unless it is the first member. */
static int add_name(struct buf *out, const struct change *c, size_t column, bool first,
                    struct error *err)
{
    if (!first) {
        buf_add_char(out, ',');
    }
    if (add_string(out, c->table->columns[column].name, err) < 0) {
        return name_column(c, column, err);
    }
    buf_add_char(out, ':');
    return RESULT_DONE;
}

static int add_cell(struct buf *out, const struct change *c, size_t column, const struct cell *cell,
                    struct error *err)
{
    if (cell->kind == CELL_NULL) {
        buf_add(out, "null", 4);
    } else if (add_value(out, c->table->columns[column].type, cell->text, err) < 0) {
        return name_column(c, column, err);
    }
    return RESULT_DONE;
}

int flat_key(const struct encode_conf *conf, const struct change *c, const struct cell *cells,
             struct buf *out, struct error *err)
{
    (void)conf;
    const struct change_table *t = c->table;
    if (!t || !cells || t->key_count == 0) {
        return RESULT_DONE;
    }
    buf_add_char(out, '{');
    for (size_t i = 0; i < t->key_count; i++) {
        size_t column = t->key[i];
        if (cells[column].kind == CELL_UNCHANGED || cells[column].kind == CELL_ABSENT) {
            error_set(
                err, ERROR_POISON, "encode",
                "it is part of the key, but the server did not send its value; ALTER TABLE ... REPLICA IDENTITY FULL makes it send whole rows");
            return name_column(c, column, err);
        }
        if (add_name(out, c, column, i == 0, err) < 0 ||
            add_cell(out, c, column, &cells[column], err) < 0) {
            return RESULT_ERROR;
        }
    }
    buf_add_char(out, '}');
    return RESULT_DONE;
}

/* Adds the columns that are known, each with a comma behind it: add_meta follows and always adds a
 * member. An unchanged TOAST value is left out or becomes the placeholder (unchanged_toast). */
static int add_row(const struct encode_conf *conf, const struct change *c, const struct cell *cells,
                   struct buf *out, struct error *err)
{
    for (size_t i = 0; i < c->table->columns_count; i++) {
        const struct cell *cell = &cells[i];
        bool unknown = cell->kind == CELL_UNCHANGED;
        if (c->table->columns[i].hidden || cell->kind == CELL_ABSENT ||
            (unknown && c->omit_unchanged)) {
            continue;
        }
        if (add_name(out, c, i, true, err) < 0) {
            return RESULT_ERROR;
        }
        if (unknown) {
            if (add_string(out, slice_from(conf->unavailable_placeholder), err) < 0) {
                return error_prefix(err, "encode.unavailable_placeholder");
            }
        } else if (add_cell(out, c, i, cell, err) < 0) {
            return RESULT_ERROR;
        }
        buf_add_char(out, ',');
    }
    return RESULT_DONE;
}

/* Lists the columns that were left out because their values did not change. Without the list a
 * consumer could not tell them from columns that were dropped. */
static int add_unchanged(const struct encode_conf *conf, const struct change *c,
                         const struct cell *cells, struct buf *out, struct error *err)
{
    bool any = false;
    for (size_t i = 0; cells && c->omit_unchanged && i < c->table->columns_count; i++) {
        if (cells[i].kind == CELL_UNCHANGED && !c->table->columns[i].hidden) {
            if (any) {
                buf_add_char(out, ',');
            } else {
                buf_printf(out, ",\"%sunchanged\":[", conf->flat_prefix);
            }
            any = true;
            if (add_string(out, c->table->columns[i].name, err) < 0) {
                return name_column(c, i, err);
            }
        }
    }
    if (any) {
        buf_add_char(out, ']');
    }
    return RESULT_DONE;
}

static bool same_cell(const struct cell *a, const struct cell *b)
{
    return a->kind == b->kind && (a->kind != CELL_TEXT || slice_equal(a->text, b->text));
}

/* Adds the old key where an update changed the key. The message itself has the new key, so a
 * consumer that stores rows by key would otherwise keep the old row for ever. */
static int add_old_key(const struct encode_conf *conf, const struct change *c, struct buf *out,
                       struct error *err)
{
    bool changed = false;
    for (size_t i = 0; c->before && c->after && i < c->table->key_count; i++) {
        size_t column = c->table->key[i];
        changed = changed || !same_cell(&c->before[column], &c->after[column]);
    }
    if (!changed) {
        return RESULT_DONE;
    }
    buf_printf(out, ",\"%sold_key\":", conf->flat_prefix);
    return flat_key(conf, c, c->before, out, err);
}

/* Our own members: op, table, lsn, ts (the commit's time) and deleted, each behind the prefix. */
static int add_meta(const struct encode_conf *conf, const struct change *c, struct buf *out,
                    struct error *err)
{
    const char *own = conf->flat_prefix;
    char time[CLOCK_RFC3339_SIZE];
    CLEANUP(buf_release) struct buf table = {0};
    bool gone = c->op == CHANGE_DELETE || c->op == CHANGE_TRUNCATE;
    buf_printf(&table, "%.*s.%.*s", SLICE_FMT(c->table->schema), SLICE_FMT(c->table->name));
    buf_printf(out, "\"%sop\":\"%c\",\"%stable\":", own, (char)c->op, own);
    if (add_string(out, buf_slice(&table), err) < 0) {
        return error_prefix(err, "the table's name");
    }
    buf_printf(out, ",\"%slsn\":\"%" PRIX32 "/%" PRIX32 "\"", own, (uint32_t)(c->lsn >> 32),
               (uint32_t)c->lsn);
    clock_format_rfc3339(c->commit_us, time);
    buf_printf(out, ",\"%sts\":\"%s\",\"%sdeleted\":%s", own, time, own, gone ? "true" : "false");
    return RESULT_DONE;
}

int flat_value(const struct encode_conf *conf, const struct change *c, struct buf *out,
               struct error *err)
{
    const struct cell *cells = c->after ? c->after : c->before;
    buf_add_char(out, '{');
    if ((cells && add_row(conf, c, cells, out, err) < 0) || add_meta(conf, c, out, err) < 0 ||
        add_unchanged(conf, c, cells, out, err) < 0 || add_old_key(conf, c, out, err) < 0) {
        return RESULT_ERROR;
    }
    buf_add_char(out, '}');
    return RESULT_DONE;
}

void flat_shape(const struct encode_conf *conf, struct change_shape *ret)
{
    ret->own_prefix = conf->flat_prefix;
}

static const char *const keys[] = {FORMAT_CHANGE_KEYS, "flat_prefix", NULL};

const struct format_ops format_flat = {.can = FORMAT_CHANGES,
                                       .keys = keys,
                                       .shape = flat_shape,
                                       .change_key = flat_key,
                                       .change_value = flat_value};
