/*
 * Debezium sends the default of a column in place of null, as far as it understands the default's
 * expression. It matches the text of the expression with a few patterns
 * (PostgresDefaultValueConverter of 3.0), and so do we. Example: now() gives 1970-01-01, and
 * 'it''s' gives it. A smarter reading would send other bytes than Debezium.
 */
#include "message/debezium/debezium.h"

#include <strings.h>

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

/* Debezium's pattern ^[(]?[A-Za-z0-9_.]+\(.*\): a call of a function. The dot matches no line
 * break. */
static bool calls_function(struct slice v)
{
    size_t i = v.len > 0 && v.ptr[0] == '(', start = i;
    while (i < v.len && word_char(v.ptr[i])) {
        i++;
    }
    if (i == start || i >= v.len || v.ptr[i] != '(') {
        return false;
    }
    for (; i < v.len && v.ptr[i] != '\n' && v.ptr[i] != '\r'; i++) {
        if (v.ptr[i] == ')') {
            return true;
        }
    }
    return false;
}

static bool current_time(struct slice v)
{
    static const char *const words[] = {"CURRENT_TIMESTAMP", "CURRENT_TIME", "CURRENT_DATE",
                                        "LOCALTIME", "LOCALTIMESTAMP"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (slice_equal_str(v, words[i])) {
            return true;
        }
    }
    return false;
}

/* The text between the first two quotes of a line. As in Debezium, a doubled quote ends it too.
 * Null if there is none. */
static struct slice first_literal(struct slice v)
{
    size_t open = 0;
    for (; open < v.len; open++) {
        if (v.ptr[open] != '\'') {
            continue;
        }
        for (size_t i = open + 1; i < v.len && v.ptr[i] != '\n' && v.ptr[i] != '\r'; i++) {
            if (v.ptr[i] == '\'') {
                return (struct slice){v.ptr + open + 1, i - open - 1};
            }
        }
    }
    return SLICE_NULL;
}

static bool starts_with(struct slice v, const char *with)
{
    size_t n = strlen(with);
    return v.len >= n && memcmp(v.ptr, with, n) == 0;
}

/* The value of an expression. For a function call or the current time it is `generated`; Debezium
 * cannot compute those and takes a fixed value. Null: the default is null. */
static struct slice said_by(struct slice v, const char *generated)
{
    if (calls_function(v) || current_time(v)) {
        return slice_from(generated);
    }
    if (v.len > 0 && memchr(v.ptr, '\'', v.len)) {
        return first_literal(v);
    }
    return starts_with(v, "NULL::") ? SLICE_NULL : v;
}

/* The label of an enum's default: 'ok'::mood, or 'ok'::public.mood where the search path was empty.
 * Null for any other expression. */
static struct slice enum_label(const struct column_type *type, struct slice v)
{
    size_t name = type->base_name.len;
    if (v.len < name + 4 || v.ptr[0] != '\'' ||
        memcmp(v.ptr + v.len - name, type->base_name.ptr, name) != 0) {
        return SLICE_NULL;
    }
    size_t end = v.len - name;
    if (end > 7 && memcmp(v.ptr + end - 7, "public.", 7) == 0) {
        end -= 7;
    }
    if (end < 4 || memcmp(v.ptr + end - 3, "'::", 3) != 0) {
        return SLICE_NULL;
    }
    return (struct slice){v.ptr + 1, end - 4};
}

/* The types whose defaults Debezium reads, by name, and the value that it takes where a function
 * makes the default. NULL: it does not read defaults of this type, nor those of any domain. */
static const char *generated_value(const struct column_type *type)
{
    static const struct {
        const char *name, *value;
    } types[] = {
        {"bit", "00"},
        {"varbit", "0"},
        {"bool", "false"},
        {"bpchar", ""},
        {"varchar", ""},
        {"text", ""},
        {"numeric", "0.0"},
        {"float4", "0.0"},
        {"float8", "0.0"},
        {"int2", "0"},
        {"int4", "0"},
        {"int8", "0"},
        {"json", "{}"},
        {"jsonb", "{}"},
        {"xml", ""},
        {"uuid", "00000000-0000-0000-0000-000000000000"},
        {"date", "1970-01-01"},
        {"time", "00:00:00"},
        {"timestamp", "1970-01-01 00:00:00"},
        {"timestamptz", "1970-01-01 00:00:00+00"},
        {"interval", "00:00:00"},
    };
    for (size_t i = 0; type->oid == type->base_oid && i < sizeof types / sizeof *types; i++) {
        if (slice_equal_str(type->base_name, types[i].name)) {
            return types[i].value;
        }
    }
    return NULL;
}

/* Adds midnight to a date that is the default of a timestamp. */
static struct slice with_midnight(struct slice v, char *out, size_t size)
{
    struct pg_moment m;
    if (v.len + 10 > size || !pg_date_parse(v, &m) || m.kind != PG_MOMENT) {
        return v;
    }
    memcpy(out, v.ptr, v.len);
    memcpy(out + v.len, " 00:00:00", 9);
    return (struct slice){out, v.len + 9};
}

enum dbz_said dbz_default(struct dbz *d, const struct dbz_type *t, struct slice expression)
{
    char stamp[64];
    struct slice v;
    const char *generated = t->type->kind == TYPE_ENUM ? NULL : generated_value(t->type);
    if (t->type->kind == TYPE_ENUM && t->type->oid == t->type->base_oid) {
        v = enum_label(t->type, expression);
    } else if (generated) {
        v = said_by(expression, generated);
    } else {
        return DBZ_NO_WORD;
    }
    if (slice_is_null(v)) {
        return DBZ_NO_WORD;
    }
    switch (t->kind) {
    case DBZ_BOOL:
        v = slice_from(v.len == 4 && strncasecmp(v.ptr, "true", 4) == 0 ? "t" : "f");
        break;
    case DBZ_TIMESTAMP:
    case DBZ_TIMESTAMPTZ:
        v = with_midnight(v, stamp, sizeof stamp);
        break;
    case DBZ_NUMERIC:
        /* Without a declared scale `precise` makes an object, which Debezium does not take for a
         * default. */
        if (d->conf->decimal == DECIMAL_PRECISE && t->typmod < 0) {
            return DBZ_NO_WORD;
        }
        break;
    default:
        break;
    }
    return dbz_value(d, t, v) == DBZ_SAID ? DBZ_SAID : DBZ_NO_WORD;
}
