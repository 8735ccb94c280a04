/* Encodes one value by its type, and the types that need little: booleans, bytea, bit strings,
 * points. */
#include "message/debezium/debezium.h"

#include "value/pg_bytea.h"
#include <stdlib.h>

void dbz_scratch_release(struct dbz_scratch *s)
{
    buf_release(&s->element);
    buf_release(&s->pairs);
    buf_release(&s->bytes);
}

enum dbz_said dbz_bytes(struct dbz *d, struct slice text)
{
    struct buf *bytes = &d->scratch.bytes;
    buf_clear(bytes);
    buf_reserve(bytes, text.len / 2);
    if (!pg_bytea_parse(text, bytes->data)) {
        return DBZ_FAULT;
    }
    bytes->len = text.len / 2 - 1;
    dbz_binary(d, buf_slice(bytes));
    return DBZ_SAID;
}

/* bit(1) is a boolean; an empty varbit(1) is neither true nor false. Longer ones are the bytes of
 * the number that they stand for, the lowest byte first, without zero bytes at the end. */
enum dbz_said dbz_bits(struct dbz *d, const struct dbz_type *t, struct slice text)
{
    struct buf *bytes = &d->scratch.bytes;
    size_t set = 0; /* bits up to the highest that is set */
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '0' && text.ptr[i] != '1') {
            return DBZ_FAULT;
        }
        set = set == 0 && text.ptr[i] == '1' ? text.len - i : set;
    }
    if (t->typmod == 1) {
        buf_add_str(d->out, set ? "true" : "false");
        return text.len > 0 ? DBZ_SAID : DBZ_NO_WORD;
    }
    buf_clear(bytes);
    for (size_t b = 0; b < set; b += 8) {
        unsigned byte = 0;
        for (size_t k = 0; k < 8 && b + k < set; k++) {
            byte |= (unsigned)(text.ptr[text.len - 1 - b - k] - '0') << k;
        }
        buf_add_char(bytes, (char)byte);
    }
    dbz_base64(d->out, buf_slice(bytes));
    return DBZ_SAID;
}

static bool number_of(struct slice text, double *ret)
{
    char copy[64], *end;
    if (text.len == 0 || text.len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *ret = strtod(copy, &end);
    return end == copy + text.len;
}

/* The eight bytes of a double, lowest first, on any machine. */
static void put_double(char *to, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    for (unsigned i = 0; i < sizeof bits; i++) {
        to[i] = (char)(bits >> (8 * i));
    }
}

/* A point is x, y and its WKB (well-known binary): byte order, type, two doubles. */
enum dbz_said dbz_point(struct dbz *d, struct slice text)
{
    char wkb[21] = {1, 1}; /* little-endian; type 1: a point */
    const char *comma = memchr(text.ptr, ',', text.len);
    if (text.len < 5 || !comma || text.ptr[0] != '(' || text.ptr[text.len - 1] != ')') {
        return DBZ_FAULT;
    }
    struct slice x = {text.ptr + 1, (size_t)(comma - text.ptr - 1)};
    struct slice y = {comma + 1, text.len - x.len - 3};
    double vx, vy;
    if (!number_of(x, &vx) || !number_of(y, &vy)) {
        return DBZ_FAULT;
    }
    put_double(wkb + 5, vx);
    put_double(wkb + 13, vy);
    DBZ_LITERAL(d->out, "{\"x\":");
    (void)dbz_double(d->out, x, false);
    DBZ_LITERAL(d->out, ",\"y\":");
    (void)dbz_double(d->out, y, false);
    DBZ_LITERAL(d->out, ",\"wkb\":");
    dbz_base64(d->out, (struct slice){wkb, sizeof wkb});
    DBZ_LITERAL(d->out, ",\"srid\":null}");
    return DBZ_SAID;
}

static enum dbz_said boolean(struct buf *out, struct slice text)
{
    if (text.len != 1 || (text.ptr[0] != 't' && text.ptr[0] != 'f')) {
        return DBZ_FAULT;
    }
    buf_add_str(out, text.ptr[0] == 't' ? "true" : "false");
    return DBZ_SAID;
}

enum dbz_said dbz_value(struct dbz *d, const struct dbz_type *t, struct slice text)
{
    switch (t->kind) {
    case DBZ_BOOL:
        return boolean(d->out, text);
    case DBZ_INTEGER:
        return dbz_integer(d->out, text);
    case DBZ_FLOAT4:
    case DBZ_FLOAT8:
        return dbz_double(d->out, text, t->kind == DBZ_FLOAT4);
    case DBZ_NUMERIC:
        return dbz_numeric(d, t, text);
    case DBZ_MONEY:
        return dbz_money(d, text);
    case DBZ_STRING:
        return dbz_string(d->out, text) ? DBZ_SAID : DBZ_FAULT;
    case DBZ_BYTES:
        return dbz_bytes(d, text);
    case DBZ_BITS:
        return dbz_bits(d, t, text);
    case DBZ_DATE:
    case DBZ_TIME:
    case DBZ_TIMETZ:
    case DBZ_TIMESTAMP:
    case DBZ_TIMESTAMPTZ:
        return dbz_time(d, t, text);
    case DBZ_INTERVAL:
        return dbz_interval(d, text);
    case DBZ_POINT:
        return dbz_point(d, text);
    case DBZ_HSTORE:
        return dbz_hstore(d, text);
    case DBZ_ARRAY:
        return dbz_array(d, t, text);
    case DBZ_OMIT:
    case DBZ_NULL:
    default:
        return DBZ_NO_WORD;
    }
}

enum dbz_said dbz_fallback(struct dbz *d, const struct dbz_type *t)
{
    static const char *const texts[] = {
        [DBZ_BOOL] = "f",
        [DBZ_INTEGER] = "0",
        [DBZ_FLOAT4] = "0",
        [DBZ_FLOAT8] = "0",
        [DBZ_NUMERIC] = "0",
        [DBZ_MONEY] = "$0.00",
        [DBZ_STRING] = "",
        [DBZ_BYTES] = "\\x",
        [DBZ_BITS] = "",
        [DBZ_DATE] = "1970-01-01",
        [DBZ_TIME] = "00:00:00",
        [DBZ_TIMETZ] = "00:00:00+00",
        [DBZ_TIMESTAMP] = "1970-01-01 00:00:00",
        [DBZ_INTERVAL] = "00:00:00",
        [DBZ_POINT] = "(0,0)",
        [DBZ_HSTORE] = "",
        [DBZ_ARRAY] = "{}",
    };
    if (t->kind == DBZ_TIMESTAMPTZ) {
        DBZ_LITERAL(d->out, "\"1970-01-01T00:00:00Z\"");
        return DBZ_SAID;
    }
    if (t->kind == DBZ_OMIT || t->kind == DBZ_NULL) {
        return DBZ_NO_WORD;
    }
    return dbz_value(d, t,
                     slice_from(t->kind == DBZ_BITS && t->typmod == 1 ? "0" : texts[t->kind]));
}
