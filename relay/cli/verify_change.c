/* The encoder has made both sides, so that equal values are equal texts, and a hash of the text of
 * each value will do. */
#include "cli/verify_change.h"

#include "base/fnv1a.h"
#include "base/memory.h"
#include "value/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void verify_change_release(struct verify_change *c)
{
    buf_release(&c->table);
    buf_release(&c->row);
    buf_release(&c->old_row);
    buf_release(&c->columns);
}

void verify_blanks_release(struct verify_blanks *b)
{
    buf_release(&b->sure);
    buf_release(&b->unsure);
}

/* --- columns --- */

static uint64_t hash_of(struct slice text)
{
    uint64_t h = fnv1a_add(FNV1A_START, text) & ~(uint64_t)VERIFY_OR_NULL;
    return h == VERIFY_UNSENT ? 2 : h;
}

static uint64_t hash_of_null(void)
{
    return hash_of(SLICE_LITERAL("null"));
}

static int by_name(const void *a, const void *b)
{
    const struct verify_column *x = a, *y = b;
    return x->name < y->name ? -1 : x->name > y->name;
}

static void add_column(struct buf *out, struct slice name, uint64_t value)
{
    const struct verify_column c = {hash_of(name), value};
    buf_add(out, &c, sizeof c);
}

static void sort_columns(struct buf *columns)
{
    if (columns->len > 0) {
        qsort(columns->data, columns->len / sizeof(struct verify_column),
              sizeof(struct verify_column), by_name);
    }
}

/* The columns in a buf. */
static const struct verify_column *columns_in(struct slice bytes, size_t *ret_count)
{
    *ret_count = bytes.len / sizeof(struct verify_column);
    return (const struct verify_column *)(const void *)bytes.ptr;
}

/* NULL: it has no column of this name. */
static const struct verify_column *column_named(struct slice bytes, uint64_t name)
{
    size_t n;
    const struct verify_column *all = columns_in(bytes, &n), wanted = {.name = name};
    return n > 0 ? bsearch(&wanted, all, n, sizeof *all, by_name) : NULL;
}

static bool has_value(struct slice columns, const struct verify_column *wanted)
{
    const struct verify_column *c = column_named(columns, wanted->name);
    return c && c->value == wanted->value;
}

void verify_columns_fill(struct buf *columns, struct slice before,
                         const struct verify_blanks *blanks)
{
    size_t n = columns->len / sizeof(struct verify_column);
    struct verify_column *all = (struct verify_column *)(void *)columns->data;
    for (size_t i = 0; i < n; i++) {
        const struct verify_column *old = column_named(before, all[i].name);
        uint64_t value = old ? old->value : VERIFY_UNSENT;
        if (all[i].value == VERIFY_UNSENT || has_value(buf_slice(&blanks->sure), &all[i])) {
            all[i].value = value;
        } else if (has_value(buf_slice(&blanks->unsure), &all[i])) {
            all[i].value = value | VERIFY_OR_NULL;
        }
    }
}

bool verify_columns_equal(struct slice row, struct slice event, bool *ret_unsent)
{
    size_t n;
    const struct verify_column *all = columns_in(row, &n);
    bool equal = true;
    *ret_unsent = false;
    for (size_t i = 0; i < n; i++) {
        const struct verify_column *sent = column_named(event, all[i].name);
        uint64_t value = sent ? sent->value : hash_of_null();
        if (value & VERIFY_OR_NULL && all[i].value == hash_of_null()) {
            continue;
        }
        value &= ~(uint64_t)VERIFY_OR_NULL;
        *ret_unsent = *ret_unsent || value == VERIFY_UNSENT;
        equal = equal && (value == VERIFY_UNSENT || value == all[i].value);
    }
    return equal;
}

/* --- messages --- */

/* With schemas the text is {"schema": ..., "payload": ...}. */
static struct slice without_schema(const struct encode_conf *conf, struct slice text)
{
    struct json_member m;
    return conf->schemas && !slice_is_null(text) && json_find(text, "payload", &m)
               ? json_member_text(&m)
               : text;
}

static void set_row(struct buf *out, const struct buf *table, struct slice key)
{
    if (!slice_is_null(key)) {
        buf_add_slice(out, buf_slice(table));
        buf_add_char(out, '\n');
        buf_add_slice(out, key);
    }
}

static bool set_op(const struct json_member *m, enum verify_op *ret)
{
    switch (m->type == JSON_IS_STRING && m->value.len == 1 ? m->value.ptr[0] : '\0') {
    case 'c':
    case 'r':
    case 'u':
        *ret = VERIFY_UPSERT;
        return true;
    case 'd':
        *ret = VERIFY_DELETE;
        return true;
    case 't':
        *ret = VERIFY_TRUNCATE;
        return true;
    case 'm':
        *ret = VERIFY_NOTHING;
        return true;
    default:
        return false;
    }
}

/* The strings of an array: names of columns that were not sent. */
static void add_unsent(struct slice array, struct buf *columns)
{
    const char *p = array.ptr, *end = array.ptr + array.len;
    while (p < end) {
        const char *from = memchr(p, '"', (size_t)(end - p));
        if (!from) {
            return;
        }
        for (p = ++from; p < end && *p != '"'; p++) {
            p += *p == '\\';
        }
        if (p < end) {
            add_column(columns, (struct slice){from, (size_t)(p - from)}, VERIFY_UNSENT);
        }
        p++;
    }
}

/* What a flat row says beside its columns. */
struct own {
    bool op, table;
    struct slice old_key;
};

/* False: it is no member of ours. */
static bool take_own(const char *prefix, const struct json_member *m, struct verify_change *ret,
                     struct own *own)
{
    static const char *const names[] = {CHANGE_OWN_NAMES};
    size_t n = strlen(prefix);
    struct slice name = {m->name.ptr + n, m->name.len - n};
    bool ours = false;
    if (m->name.len <= n || memcmp(m->name.ptr, prefix, n) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ours = ours || slice_equal_str(name, names[i]);
    }
    if (slice_equal_str(name, "op")) {
        own->op = set_op(m, &ret->op);
    } else if (slice_equal_str(name, "table") && m->type == JSON_IS_STRING) {
        own->table = true;
        buf_add_slice(&ret->table, m->value);
    } else if (slice_equal_str(name, "old_key") && m->type == JSON_IS_OBJECT) {
        own->old_key = json_member_text(m);
    } else if (slice_equal_str(name, "unchanged")) {
        add_unsent(json_member_text(m), &ret->columns);
    }
    return ours;
}

static bool read_columns(struct slice object, const char *prefix, struct verify_change *ret,
                         struct own *own)
{
    struct json_members members = json_members(object);
    struct json_member m;
    enum json_step step;
    while ((step = json_members_next(&members, &m)) == JSON_MEMBER) {
        if (!prefix || !take_own(prefix, &m, ret, own)) {
            add_column(&ret->columns, m.name, hash_of(json_member_text(&m)));
        }
    }
    sort_columns(&ret->columns);
    return step == JSON_END;
}

/* A logical message has no table. */
static bool read_flat(const struct encode_conf *conf, struct slice key, struct slice payload,
                      struct verify_change *ret)
{
    struct own own = {.old_key = SLICE_NULL};
    if (!read_columns(payload, conf->flat_prefix, ret, &own) || !own.op ||
        (!own.table && ret->op != VERIFY_NOTHING)) {
        return false;
    }
    set_row(&ret->row, &ret->table, key);
    set_row(&ret->old_row, &ret->table, own.old_key);
    return true;
}

static bool read_source(struct slice envelope, struct verify_change *ret)
{
    struct json_member source, schema, table;
    if (!json_find(envelope, "source", &source) || source.type != JSON_IS_OBJECT ||
        !json_find(json_member_text(&source), "schema", &schema) ||
        !json_find(json_member_text(&source), "table", &table)) {
        return false;
    }
    buf_printf(&ret->table, "%.*s.%.*s", SLICE_FMT(schema.value), SLICE_FMT(table.value));
    return true;
}

static bool read_envelope(struct slice key, struct slice payload, struct verify_change *ret)
{
    struct json_member op, after;
    struct own none = {.old_key = SLICE_NULL};
    if (!json_find(payload, "op", &op) || !set_op(&op, &ret->op)) {
        return false;
    }
    if (ret->op == VERIFY_NOTHING) {
        return true;
    }
    if (!read_source(payload, ret)) {
        return false;
    }
    set_row(&ret->row, &ret->table, key);
    return ret->op != VERIFY_UPSERT ||
           (json_find(payload, "after", &after) && after.type == JSON_IS_OBJECT &&
            read_columns(json_member_text(&after), NULL, ret, &none));
}

bool verify_change_read(const struct encode_conf *conf, struct slice key, struct slice payload,
                        struct verify_change *ret)
{
    enum json_kind kind;
    size_t fault;
    buf_clear(&ret->table);
    buf_clear(&ret->row);
    buf_clear(&ret->old_row);
    buf_clear(&ret->columns);
    ret->op = VERIFY_NOTHING;
    payload = without_schema(conf, payload);
    if (slice_is_null(payload)) {
        return true;
    }
    if (!json_check(payload, &kind, &fault)) {
        return false;
    }
    if (kind != JSON_IS_OBJECT) {
        return kind == JSON_IS_NULL;
    }
    key = without_schema(conf, key);
    return strcmp(format_name(conf->format), "debezium") == 0 ? read_envelope(key, payload, ret)
                                                              : read_flat(conf, key, payload, ret);
}

/* --- values that were not sent --- */

static void add_blank(const struct change_column *column, uint64_t blank, uint64_t null,
                      struct verify_blanks *ret)
{
    static const uint32_t numeric = 1700; /* pg_type.dat */
    const struct verify_column c = {hash_of(column->name), blank};
    if (blank != null) {
        buf_add(&ret->sure, &c, sizeof c);
    } else if (column->type->base_oid == numeric ||
               (column->type->kind != TYPE_BASE && column->type->kind != TYPE_ENUM)) {
        buf_add(&ret->unsure, &c, sizeof c); /* else it is of a fixed length, and always sent */
    }
}

/* A row of the table of which all cells are of one kind. */
static bool read_row_of(const struct encode_conf *conf, const struct change *change,
                        enum cell_kind kind, struct verify_change *ret)
{
    CLEANUP(buf_release) struct buf text = {0};
    struct error ignored;
    size_t n = change->table->columns_count;
    struct cell *cells = memory_need(calloc(n + 1, sizeof *cells));
    struct change row = *change;
    for (size_t i = 0; i < n; i++) {
        cells[i].kind = kind;
    }
    row.after = cells;
    row.omit_unchanged = false;
    bool good = !conf->format->change_value(conf, &row, &text, &ignored) &&
                verify_change_read(conf, SLICE_NULL, buf_slice(&text), ret);
    free(cells);
    return good;
}

/* The format itself says it: it encodes a row of which nothing was sent. */
void verify_change_blanks(const struct encode_conf *conf, const struct change *change,
                          struct verify_blanks *ret)
{
    CLEANUP(verify_change_release) struct verify_change blank = {0}, null = {0};
    if (!read_row_of(conf, change, CELL_UNCHANGED, &blank) ||
        !read_row_of(conf, change, CELL_NULL, &null)) {
        return;
    }
    for (size_t i = 0; i < change->table->columns_count; i++) {
        const struct change_column *column = &change->table->columns[i];
        uint64_t name = hash_of(column->name);
        const struct verify_column *b = column_named(buf_slice(&blank.columns), name);
        const struct verify_column *n = column_named(buf_slice(&null.columns), name);
        if (b && n) {
            add_blank(column, b->value, n->value, ret);
        }
    }
    sort_columns(&ret->sure);
    sort_columns(&ret->unsure);
}
