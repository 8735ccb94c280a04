/* Turns the values of a Debezium row into texts. What Debezium writes is in
 * core/message/debezium. */
#include "consume/apply/debezium.h"

#include "base/clock.h"
#include "message/encode.h"
#include "value/base64.h"
#include "value/json.h"
#include <inttypes.h>
#include <stdlib.h>

enum { EPOCH_JULIAN = 2440588, NUMERIC_HEADER = 4, MILLIS_DIGITS = 3, MONEY_SCALE = 2 };
static const int64_t US_PER_DAY = 86400 * US_PER_SECOND;

/* What Debezium makes of infinity and -infinity. */
static const int64_t infinite_us = 9223372036825200000, minus_infinite_us = -9223372036832400000;
static const int64_t infinite_day = -2147472692, minus_infinite_day = -2147472691;

/* A value to be turned. */
struct value {
    enum json_kind type;
    struct slice text; /* of a string, what stands between the quotes */
    bool escaped;
    enum column_kind kind;
    int32_t typmod;
    bool element; /* of an array */
    bool decimal_text;
};

enum column_kind debezium_kind(struct slice type, bool *ret_array)
{
    static const struct {
        const char *name;
        enum column_kind kind;
    } kinds[] = {
        {"date", COLUMN_DATE},         {"time", COLUMN_TIME},       {"timestamp", COLUMN_TIMESTAMP},
        {"interval", COLUMN_INTERVAL}, {"numeric", COLUMN_NUMERIC}, {"money", COLUMN_NUMERIC},
        {"bytea", COLUMN_BYTEA},       {"bit", COLUMN_BIT},         {"point", COLUMN_POINT},
        {"hstore", COLUMN_HSTORE},     {"json", COLUMN_JSON},       {"jsonb", COLUMN_JSON}};
    *ret_array = type.len > 0 && type.ptr[0] == '_';
    struct slice name = *ret_array ? (struct slice){type.ptr + 1, type.len - 1} : type;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (slice_equal_str(name, kinds[i].name)) {
            return kinds[i].kind;
        }
    }
    return COLUMN_PLAIN;
}

static bool number_of(const struct value *v, int64_t *ret)
{
    char text[24], *end;
    if (v->type != JSON_IS_NUMBER || v->text.len >= sizeof text) {
        return false;
    }
    memcpy(text, v->text.ptr, v->text.len);
    text[v->text.len] = '\0';
    *ret = strtoll(text, &end, 10);
    return *end == '\0';
}

/* --- times --- */

/* A day that PostgreSQL reads in any year: as the number of a Julian day. */
static void add_day(struct buf *out, int64_t days)
{
    buf_printf(out, "J%" PRId64, EPOCH_JULIAN + days);
}

static void add_clock(struct buf *out, int64_t us)
{
    int64_t s = us / US_PER_SECOND;
    buf_printf(out, "%02" PRId64 ":%02" PRId64 ":%02" PRId64 ".%06" PRId64, s / 3600, s / 60 % 60,
               s % 60, us % US_PER_SECOND);
}

/* With `adaptive` a column of few digits is in milliseconds; an element of an array is not. */
static bool in_millis(const struct value *v)
{
    return !v->element && v->typmod >= 0 && v->typmod <= MILLIS_DIGITS;
}

static bool add_timestamp(struct buf *out, const struct value *v, int64_t n)
{
    bool millis = in_millis(v);
    int64_t scale = millis ? US_PER_MS : 1;
    if (n == infinite_us / scale || n == minus_infinite_us / scale) {
        buf_add_str(out, n > 0 ? "infinity" : "-infinity");
        return true;
    }
    if (__builtin_mul_overflow(n, scale, &n)) {
        return false;
    }
    int64_t days = n / US_PER_DAY - (n % US_PER_DAY < 0);
    add_day(out, days);
    buf_add_char(out, ' ');
    add_clock(out, n - days * US_PER_DAY);
    return true;
}

static bool add_time(struct buf *out, const struct value *v)
{
    int64_t n;
    if (!number_of(v, &n)) {
        return false;
    }
    switch (v->kind) {
    case COLUMN_DATE:
        if (n == infinite_day || n == minus_infinite_day) {
            buf_add_str(out, n == infinite_day ? "infinity" : "-infinity");
        } else {
            add_day(out, n);
        }
        return true;
    case COLUMN_TIME:
        n = in_millis(v) ? n * US_PER_MS : n;
        if (n < 0 || n > US_PER_DAY) {
            return false;
        }
        add_clock(out, n);
        return true;
    case COLUMN_TIMESTAMP:
        return add_timestamp(out, v, n);
    default: /* an interval */
        buf_printf(out, "%" PRId64 " microseconds", n);
        return true;
    }
}

/* --- bytes --- */

static bool bytes_of(const struct value *v, struct buf *ret)
{
    return v->type == JSON_IS_STRING && !v->escaped && base64_parse(ret, v->text);
}

static bool add_bytea(struct buf *out, const struct value *v)
{
    CLEANUP(buf_release) struct buf bytes = {0};
    if (!bytes_of(v, &bytes)) {
        return false;
    }
    buf_add_str(out, "\\x");
    for (size_t i = 0; i < bytes.len; i++) {
        buf_printf(out, "%02x", (unsigned)(unsigned char)bytes.data[i]);
    }
    return true;
}

/* bit(1) is a boolean; longer ones are bytes, the lowest first. */
static bool add_bits(struct buf *out, const struct value *v)
{
    CLEANUP(buf_release) struct buf bytes = {0};
    if (v->type == JSON_IS_BOOL) {
        buf_add_char(out, v->text.ptr[0] == 't' ? '1' : '0');
        return true;
    }
    if (v->typmod < 1 || !bytes_of(v, &bytes)) {
        return false;
    }
    for (size_t i = (size_t)v->typmod; i-- > 0;) {
        bool set = i / 8 < bytes.len && ((unsigned char)bytes.data[i / 8] >> i % 8 & 1);
        buf_add_char(out, set ? '1' : '0');
    }
    return true;
}

/* --- decimals --- */

/* The digits of a number of two's complement bytes, the highest first. Divides by ten until nothing
 * is left, which is fast enough for the digits of money. */
static void add_digits(struct buf *out, struct buf *bytes, bool *ret_negative)
{
    unsigned char *b = (unsigned char *)bytes->data;
    bool any = true;
    *ret_negative = bytes->len > 0 && b[0] & 0x80;
    for (size_t i = bytes->len, carry = 1; *ret_negative && i-- > 0;) {
        unsigned v = (unsigned)(unsigned char)~b[i] + (unsigned)carry;
        b[i] = (unsigned char)v;
        carry = v >> 8;
    }
    while (any) {
        unsigned rest = 0;
        any = false;
        for (size_t i = 0; i < bytes->len; i++) {
            unsigned v = rest << 8 | b[i];
            b[i] = (unsigned char)(v / 10);
            rest = v % 10;
            any = any || b[i];
        }
        buf_add_char(out, (char)('0' + rest));
    }
}

/* `digits` has the lowest one first. */
static void add_decimal(struct buf *out, const struct buf *digits, bool negative, int64_t scale)
{
    buf_add_str(out, negative ? "-" : "");
    size_t n = digits->len;
    size_t point = scale > 0 ? (size_t)scale : 0;
    for (size_t i = n > point + 1 ? n : point + 1; i-- > 0;) {
        buf_add_char(out, i < n ? digits->data[i] : '0');
        if (i == point && point > 0) {
            buf_add_char(out, '.');
        }
    }
    if (scale < 0) {
        buf_printf(out, "e%" PRId64, -scale);
    }
}

static bool add_unscaled(struct buf *out, const struct value *v, int64_t scale)
{
    CLEANUP(buf_release) struct buf bytes = {0}, digits = {0};
    bool negative;
    if (!bytes_of(v, &bytes) || bytes.len == 0 || bytes.len > 70000 || scale > 20000 ||
        scale < -20000) {
        return false;
    }
    add_digits(&digits, &bytes, &negative);
    add_decimal(out, &digits, negative, scale);
    return true;
}

/* Without a scale in the type it is {"scale": n, "value": bytes}. */
static bool add_variable(struct buf *out, const struct value *v)
{
    struct json_member scale, bytes;
    int64_t n;
    if (!json_find(v->text, "scale", &scale) || !json_find(v->text, "value", &bytes)) {
        return false;
    }
    const struct value number = {.type = scale.type, .text = scale.value};
    const struct value unscaled = {
        .type = bytes.type, .text = bytes.value, .escaped = bytes.value_escaped};
    return number_of(&number, &n) && add_unscaled(out, &unscaled, n);
}

static bool add_numeric(struct buf *out, const struct value *v)
{
    if (v->type == JSON_IS_NUMBER || v->decimal_text) {
        buf_add_slice(out, v->text);
        return true;
    }
    if (v->type == JSON_IS_OBJECT) {
        return add_variable(out, v);
    }
    /* The scale is in the low 11 bits of the type modifier, with a sign from version 15 on. */
    int32_t scale = v->typmod < NUMERIC_HEADER ? MONEY_SCALE : (v->typmod - NUMERIC_HEADER) & 0x7ff;
    return add_unscaled(out, v, scale >= 1024 ? scale - 2048 : scale);
}

/* --- others --- */

static bool add_point(struct buf *out, const struct value *v)
{
    struct json_member x, y;
    if (!json_find(v->text, "x", &x) || !json_find(v->text, "y", &y)) {
        return false;
    }
    buf_printf(out, "(%.*s,%.*s)", SLICE_FMT(x.value), SLICE_FMT(y.value));
    return true;
}

/* A text in double quotes, as hstore reads it. */
static bool add_hstore_text(struct buf *out, struct slice raw)
{
    CLEANUP(buf_release) struct buf plain = {0};
    buf_reserve(&plain, raw.len);
    if (!json_unescape(raw, plain.data, &plain.len)) {
        return false;
    }
    buf_add_char(out, '"');
    for (size_t i = 0; i < plain.len; i++) {
        if (plain.data[i] == '"' || plain.data[i] == '\\') {
            buf_add_char(out, '\\');
        }
        buf_add_char(out, plain.data[i]);
    }
    buf_add_char(out, '"');
    return true;
}

/* {"a": "1", "b": null}, with `hstore: json` inside a string. */
static bool add_hstore(struct buf *out, const struct value *v)
{
    CLEANUP(buf_release) struct buf plain = {0};
    struct slice text = v->text;
    struct json_member m;
    const char *comma = "";
    if (v->type == JSON_IS_STRING) {
        buf_reserve(&plain, text.len);
        if (!json_unescape(text, plain.data, &plain.len)) {
            return false;
        }
        text = buf_slice(&plain);
    }
    struct json_members walk = json_members(text);
    enum json_step step;
    while ((step = json_members_next(&walk, &m)) == JSON_MEMBER) {
        buf_add_str(out, comma);
        comma = ", ";
        if (!add_hstore_text(out, m.name)) {
            return false;
        }
        buf_add_str(out, "=>");
        if (m.type == JSON_IS_NULL) {
            buf_add_str(out, "NULL");
        } else if (m.type != JSON_IS_STRING || !add_hstore_text(out, m.value)) {
            return false;
        }
    }
    return step == JSON_END;
}

/* Appends the text of a value. A string is taken as it is where it is no base64: with
 * `time: isostring` and `interval: string`. */
static bool add_text(struct buf *out, const struct value *v)
{
    switch (v->kind) {
    case COLUMN_NUMERIC:
        return add_numeric(out, v);
    case COLUMN_BYTEA:
        return add_bytea(out, v);
    case COLUMN_BIT:
        return add_bits(out, v);
    case COLUMN_POINT:
        return v->type == JSON_IS_OBJECT && add_point(out, v);
    case COLUMN_HSTORE:
        return add_hstore(out, v);
    case COLUMN_PLAIN:
    case COLUMN_JSON:
    case COLUMN_DATE:
    case COLUMN_TIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_INTERVAL:
        break;
    }
    if (v->type == JSON_IS_STRING && !v->escaped) {
        buf_add_slice(out, v->text);
        return true;
    }
    return add_time(out, v);
}

/* JSON comes as a text with JSON in it. */
static bool add_json(struct buf *out, const struct value *v)
{
    CLEANUP(buf_release) struct buf plain = {0};
    enum json_kind kind;
    size_t fault;
    buf_reserve(&plain, v->text.len);
    if (v->type != JSON_IS_STRING || !json_unescape(v->text, plain.data, &plain.len) ||
        !json_check(buf_slice(&plain), &kind, &fault)) {
        return false;
    }
    buf_add_slice(out, buf_slice(&plain));
    return true;
}

static bool add_value(struct buf *out, const struct value *v)
{
    CLEANUP(buf_release) struct buf text = {0};
    if (v->type == JSON_IS_NULL) {
        buf_add_str(out, "null");
        return true;
    }
    if (v->kind == COLUMN_JSON) {
        return add_json(out, v);
    }
    return add_text(&text, v) && encode_json_string(out, buf_slice(&text));
}

/* The elements of an array, which hold no commas: numbers, and strings without escapes. */
static bool add_elements(struct buf *out, const struct value *array)
{
    const char *p = array->text.ptr + 1, *end = array->text.ptr + array->text.len - 1;
    buf_add_char(out, '[');
    while (p < end) {
        struct value v = *array;
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma ? comma : end;
        v.element = true;
        v.text = (struct slice){p, (size_t)(stop - p)};
        v.type = *p == '"' ? JSON_IS_STRING : *p == 'n' ? JSON_IS_NULL : JSON_IS_NUMBER;
        if (v.type == JSON_IS_STRING) {
            v.text = v.text.len < 2 ? SLICE_NULL : (struct slice){p + 1, v.text.len - 2};
        }
        if (!add_value(out, &v)) {
            return false;
        }
        buf_add_str(out, comma ? "," : "");
        p = stop + 1;
    }
    buf_add_char(out, ']');
    return true;
}

static bool add_column(struct buf *out, const struct target_column *c, const struct json_member *m,
                       bool decimal_text)
{
    struct value v = {.type = m->type,
                      .text = m->value,
                      .escaped = m->value_escaped,
                      .kind = (enum column_kind)c->kind,
                      .typmod = c->typmod,
                      .decimal_text = decimal_text};
    if (!c->array) {
        return add_value(out, &v);
    }
    if (m->type == JSON_IS_NULL) {
        buf_add_str(out, "null");
        return true;
    }
    bool simple = c->kind != COLUMN_HSTORE && c->kind != COLUMN_POINT && c->kind != COLUMN_JSON;
    return simple && m->type == JSON_IS_ARRAY && add_elements(out, &v);
}

int debezium_row(const struct target *t, struct slice row, bool decimal_text, struct buf *out,
                 struct error *err)
{
    struct json_members walk = json_members(row);
    struct json_member m;
    const char *comma = "{";
    while (json_members_next(&walk, &m) == JSON_MEMBER) {
        const struct target_column *c = target_column(t, &m);
        buf_printf(out, "%s\"%.*s\":", comma, SLICE_FMT(m.name));
        comma = ",";
        if (!c || c->kind == COLUMN_PLAIN || target_unsent(t, &m)) {
            buf_add_slice(out, json_member_text(&m));
        } else if (!add_column(out, c, &m, decimal_text)) {
            return error_set(err, ERROR_POISON, "consume",
                             "its value for column %s of table %s is none that Debezium writes for "
                             "the column's type; has the table the source's types, and the source "
                             "Debezium's default modes?",
                             c->name, t->shown);
        }
    }
    buf_add_str(out, *comma == '{' ? "{}" : "}");
    return RESULT_DONE;
}
