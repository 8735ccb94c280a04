/* Finds out whether a table is wanted. Names are compared in quoted form: "a.b"."c" is no
 * "a"."b.c". */
#include "cdc/tables.h"

#include "db/pg.h"
#include "value/pattern.h"

#include <string.h>

const char *cdc_tables_pattern(const char *entry)
{
    static const char mark[] = "re:";
    return strncmp(entry, mark, sizeof mark - 1) == 0 ? entry + sizeof mark - 1 : NULL;
}

static int add_name(struct cdc_tables *t, const char *name, struct error *err)
{
    buf_clear(&t->text);
    if (pg_quote_table(&t->text, name, err)) {
        return RESULT_ERROR;
    }
    t->names[t->names_count++] = arena_copy(&t->memory, buf_slice(&t->text));
    return RESULT_DONE;
}

static int add_signal(struct cdc_tables *t, const char *name, struct error *err)
{
    buf_clear(&t->text);
    if (pg_quote_table(&t->text, name, err)) {
        return error_prefix(err, "source.signal_table");
    }
    t->signal = arena_copy(&t->memory, buf_slice(&t->text));
    return RESULT_DONE;
}

static int add_entry(struct cdc_tables *t, const char *entry, struct error *err)
{
    const char *pattern = cdc_tables_pattern(entry);
    if (!pattern) {
        return add_name(t, entry, err);
    }
    if (pattern_new(pattern, true, &t->patterns[t->patterns_count], err)) {
        return RESULT_ERROR;
    }
    t->patterns_count++;
    return RESULT_DONE;
}

int cdc_tables_open(struct cdc_tables *t, const struct cdc_conf *conf, struct error *err)
{
    size_t count = conf->tables.count;
    *t = (struct cdc_tables){0};
    arena_init(&t->memory);
    t->names = arena_array(&t->memory, count + 1, sizeof *t->names);
    t->patterns = arena_array(&t->memory, count + 1, sizeof(struct pattern *));
    if (conf->signal_table && conf->signal_table[0] && add_signal(t, conf->signal_table, err)) {
        return RESULT_ERROR;
    }
    if (conf->as == CDC_AS_OUTBOX) {
        return add_name(t, conf->table, err) ? error_prefix(err, "source.table") : RESULT_DONE;
    }
    for (size_t i = 0; i < count; i++) {
        if (add_entry(t, conf->tables.items[i], err)) {
            return error_prefix(err, "source.tables");
        }
    }
    return RESULT_DONE;
}

void cdc_tables_close(struct cdc_tables *t)
{
    for (size_t i = 0; i < t->patterns_count; i++) {
        pattern_free(t->patterns[i]);
    }
    t->patterns_count = 0;
    buf_release(&t->text);
    arena_release(&t->memory);
}

static void add_quoted(struct buf *out, struct slice name)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        buf_add_char(out, name.ptr[i]);
        if (name.ptr[i] == '"') {
            buf_add_char(out, '"');
        }
    }
    buf_add_char(out, '"');
}

/* Sets t->text to "schema"."table". */
static void quote(struct cdc_tables *t, struct slice schema, struct slice name)
{
    buf_clear(&t->text);
    add_quoted(&t->text, schema);
    buf_add_char(&t->text, '.');
    add_quoted(&t->text, name);
}

bool cdc_tables_signal(struct cdc_tables *t, struct slice schema, struct slice name)
{
    if (slice_is_null(t->signal)) {
        return false;
    }
    quote(t, schema, name);
    return slice_equal(buf_slice(&t->text), t->signal);
}

static bool is_named(struct cdc_tables *t, struct slice schema, struct slice name)
{
    quote(t, schema, name);
    for (size_t i = 0; i < t->names_count; i++) {
        if (slice_equal(buf_slice(&t->text), t->names[i])) {
            return true;
        }
    }
    return false;
}

int cdc_tables_want(struct cdc_tables *t, struct slice schema, struct slice name, bool *ret,
                    struct error *err)
{
    bool wanted = t->names_count + t->patterns_count == 0 || is_named(t, schema, name);
    buf_clear(&t->text);
    buf_printf(&t->text, "%.*s.%.*s", SLICE_FMT(schema), SLICE_FMT(name));
    for (size_t i = 0; i < t->patterns_count && !wanted; i++) {
        if (pattern_matches(t->patterns[i], buf_slice(&t->text), &wanted, err)) {
            return error_prefix(err, "source.tables");
        }
    }
    *ret = wanted && !cdc_tables_signal(t, schema, name);
    return RESULT_DONE;
}
