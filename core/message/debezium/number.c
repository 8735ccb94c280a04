/* Encodes numbers. They keep every digit that they have, in the notation of Java's Double.toString
 * and BigDecimal. Numbers that C would print may differ in their last digit or in the form of their
 * exponent (1e+07 is 1.0E7 in Java). */
#include "message/debezium/debezium.h"

#include "base/memory.h"
#include "value/pg_numeric.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* NUMERIC_HEADER: the server adds it to the type modifier of numeric(p,s), so a smaller modifier
 * means numeric without a scale. DIGITS_MAX: so many digits identify any double. */
enum { NUMERIC_HEADER = 4, MONEY_SCALE = 2, DIGITS_MAX = 17 };

/* A decimal number: d.ddd times ten to the power of `exponent`. There are no zeros at either end,
 * except for the number zero, which is one 0. */
struct digits {
    bool negative;
    int exponent, count;
    char digit[DIGITS_MAX];
};

/* The digits are copied. At most 20 characters and no zero in front, which is what the server
 * writes. */
enum dbz_said dbz_integer(struct buf *out, struct slice text)
{
    size_t i = text.len > 0 && text.ptr[0] == '-';
    if (text.len == i || text.len > 20 || (text.ptr[i] == '0' && text.len > i + 1)) {
        return DBZ_FAULT;
    }
    for (; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return DBZ_FAULT;
        }
    }
    buf_add_slice(out, text);
    return DBZ_SAID;
}

/* Java's notation: from 10^-3 up to 10^7 plain, else d.dddE7 or d.dddE-7. There is at least one
 * digit on both sides of the point. */
static void add_digits(struct buf *out, const struct digits *n)
{
    char text[DIGITS_MAX + 16];
    size_t len = 0;
    int e = n->exponent;
    bool plain = e >= -3 && e < 7;
    int whole = plain ? e : 0; /* which digit stands in front of the point; 0 is the first one */
    if (n->negative) {
        text[len++] = '-';
    }
    for (int i = whole < 0 ? whole : 0; i < n->count || i <= whole + 1; i++) {
        text[len++] = i >= 0 && i < n->count ? n->digit[i] : '0';
        if (i == whole) {
            text[len++] = '.';
        }
    }
    dbz_add(out, text, len);
    if (!plain) {
        dbz_add_char(out, 'E');
        dbz_i64(out, e);
    }
}

/* Reads an exponent such as "e-07" and adds it to *ret. *p moves behind it. */
static bool read_exponent(const char **p, const char *end, int *ret)
{
    int e = 0;
    const char *at = *p + 1;
    bool minus = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+');
    const char *start = at;
    for (; at < end && *at >= '0' && *at <= '9' && e < 10000; at++) {
        e = e * 10 + (*at - '0');
    }
    *ret += minus ? -e : e;
    *p = at;
    return at > start;
}

/* Reads text such as "-12.50e+10" into its significant digits. False if there are more than
 * DIGITS_MAX, or if it is not a decimal number. */
static bool read_digits(struct slice text, struct digits *ret)
{
    const char *p = text.ptr, *end = p + text.len;
    int point = 0, zeros = 0;
    bool seen_point = false;
    *ret = (struct digits){.negative = p < end && *p == '-'};
    p += ret->negative;
    for (; p < end && (*p == '.' || (*p >= '0' && *p <= '9')); p++) {
        if (*p == '.') {
            seen_point = true;
            continue;
        }
        if (*p == '0' && ret->count == 0) {
            point -= seen_point;
            continue;
        }
        point += !seen_point;
        if (*p == '0') {
            zeros++;
            continue;
        }
        if (ret->count + zeros >= DIGITS_MAX) {
            return false;
        }
        for (; zeros > 0; zeros--) {
            ret->digit[ret->count++] = '0';
        }
        ret->digit[ret->count++] = *p;
    }
    ret->exponent = point - 1;
    if (p < end && (*p == 'e' || *p == 'E') && !read_exponent(&p, end, &ret->exponent)) {
        return false;
    }
    if (ret->count == 0) {
        ret->digit[ret->count++] = '0';
        ret->exponent = 0;
    }
    return p == end;
}

/* Whether a text reads back as the same number. */
static bool same_number(const char *text, double v, bool single)
{
    return single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v;
}

/* Tries the decimals just below and just above `text` in its last place, and replaces `text` by one
 * that reads back as v. At a power of two the doubles below lie twice as close as those above.
 * There the decimal nearest to v may read back as another number while its neighbour reads back as
 * v. */
static bool try_neighbours(double v, bool single, int precision, char text[40])
{
    for (int step = -1; step <= 1; step += 2) {
        char near[40];
        char *e = strchr(text, 'e');
        long long digits = 0;
        for (const char *p = text; p < e; p++) {
            digits = *p >= '0' && *p <= '9' ? digits * 10 + (*p - '0') : digits;
        }
        snprintf(near, sizeof near, "%s%llde%d", v < 0 ? "-" : "", digits + step,
                 (int)strtol(e + 1, NULL, 10) - (precision - 1));
        if (same_number(near, v, single)) {
            memcpy(text, near, sizeof near);
            return true;
        }
    }
    return false;
}

/* The shortest decimal of at least two digits that reads back as the same number, and of those the
 * nearest one, as java.lang.Double.toString gives it since JDK 19. A decimal of up to 15 digits (6
 * for a float4) that reads back as v is v rounded to that many digits, so shorter lengths need no
 * try: read_digits drops the zeros. This does not hold for subnormal numbers, which have fewer
 * digits. */
static void shortest(double v, bool single, struct digits *ret)
{
    bool subnormal = fabs(v) < (single ? 1.17549435e-38 : 2.2250738585072014e-308);
    int most = single ? 9 : DIGITS_MAX;
    for (int n = subnormal ? 2 : single ? 6 : 15; n <= most; n++) {
        char text[40];
        snprintf(text, sizeof text, "%.*e", n - 1, v);
        if (same_number(text, v, single) || try_neighbours(v, single, n, text)) {
            read_digits(slice_from(text), ret);
            return;
        }
    }
}

static void add_number(struct buf *out, double v, bool single)
{
    struct digits n = {.count = 1, .digit = "0", .negative = signbit(v)};
    if (isnan(v)) {
        DBZ_LITERAL(out, "\"NaN\"");
    } else if (isinf(v)) {
        buf_add_str(out, v < 0 ? "\"-Infinity\"" : "\"Infinity\"");
    } else {
        if (v != 0) {
            shortest(v, single, &n);
        }
        add_digits(out, &n);
    }
}

/* Whether a decimal has so few digits that it is the shortest one for its number already. No other
 * decimal of that length reads back as the same number, so the slow search is not needed. */
static bool is_short(const struct digits *n, bool single)
{
    return single ? n->count <= 6 && abs(n->exponent) < 30
                  : n->count <= 15 && abs(n->exponent) < 290;
}

enum dbz_said dbz_double(struct buf *out, struct slice text, bool single)
{
    struct digits n;
    if (read_digits(text, &n) && is_short(&n, single)) {
        add_digits(out, &n);
        return DBZ_SAID;
    }
    char few[64], *copy = few, *end;
    if (text.len >= sizeof few) {
        copy = memory_need(malloc(text.len + 1));
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    double v = single ? (double)strtof(copy, &end) : strtod(copy, &end);
    bool whole = text.len > 0 && end == copy + text.len;
    if (copy != few) {
        free(copy);
    }
    if (!whole) {
        return DBZ_FAULT;
    }
    add_number(out, v, single);
    return DBZ_SAID;
}

/* The scale as the Java driver reads it from the type modifier. It takes a negative scale for a
 * large positive one, and Debezium pads the value with zeros up to it. */
static size_t scale_of(int32_t typmod)
{
    return (size_t)((typmod - NUMERIC_HEADER) & 0xffff);
}

bool dbz_numeric_size(int32_t typmod, unsigned *ret_precision, unsigned *ret_scale)
{
    if (typmod < NUMERIC_HEADER) {
        return false;
    }
    *ret_precision = (unsigned)(typmod - NUMERIC_HEADER) >> 16;
    *ret_scale = (unsigned)scale_of(typmod);
    return true;
}

/* The number as text with all its digits, filled up with zeros to `scale`. */
static void add_plain(struct buf *out, const struct pg_numeric *n, size_t scale)
{
    buf_add_str(out, n->negative ? "\"-" : "\"");
    buf_add_slice(out, n->whole);
    if (scale > 0) {
        dbz_add_char(out, '.');
        buf_add_slice(out, n->fraction);
        for (size_t i = n->fraction.len; i < scale; i++) {
            dbz_add_char(out, '0');
        }
    }
    dbz_add_char(out, '"');
}

/* The number without its point, as base64 of big-endian two's complement: the JSON of Kafka
 * Connect's Decimal. */
static enum dbz_said add_unscaled(struct dbz *d, const struct pg_numeric *n, size_t scale)
{
    buf_clear(&d->scratch.bytes);
    if (!pg_numeric_unscaled(n, scale, &d->scratch.bytes)) {
        return DBZ_FAULT;
    }
    dbz_base64(d->out, buf_slice(&d->scratch.bytes));
    return DBZ_SAID;
}

/* With a declared scale the schema knows it, and the bytes are enough. Without one each value says
 * its own. */
static enum dbz_said add_precise(struct dbz *d, struct pg_numeric *n, int32_t typmod)
{
    if (typmod >= NUMERIC_HEADER) {
        return add_unscaled(d, n, scale_of(typmod));
    }
    pg_numeric_strip(n);
    DBZ_LITERAL(d->out, "{\"scale\":");
    buf_add_u64(d->out, n->fraction.len);
    DBZ_LITERAL(d->out, ",\"value\":");
    enum dbz_said said = add_unscaled(d, n, n->fraction.len);
    dbz_add_char(d->out, '}');
    return said;
}

/* NaN and the infinities cannot be written as bytes, so `precise` makes them null; `string` has
 * names for them. */
static enum dbz_said add_special(struct dbz *d, struct slice text)
{
    static const char *const names[][2] = {{"NaN", "\"NAN\""},
                                           {"Infinity", "\"POSITIVE_INFINITY\""},
                                           {"-Infinity", "\"NEGATIVE_INFINITY\""}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_equal_str(text, names[i][0])) {
            if (d->conf->decimal == DECIMAL_STRING) {
                buf_add_str(d->out, names[i][1]);
            }
            return d->conf->decimal == DECIMAL_STRING ? DBZ_SAID : DBZ_NO_WORD;
        }
    }
    return DBZ_FAULT;
}

enum dbz_said dbz_numeric(struct dbz *d, const struct dbz_type *t, struct slice text)
{
    struct pg_numeric n;
    if (d->conf->decimal == DECIMAL_DOUBLE) {
        return dbz_double(d->out, text, false);
    }
    if (!pg_numeric_parse(text, &n)) {
        return add_special(d, text);
    }
    if (d->conf->decimal == DECIMAL_PRECISE) {
        return add_precise(d, &n, t->typmod);
    }
    add_plain(d->out, &n, t->typmod >= NUMERIC_HEADER ? scale_of(t->typmod) : n.fraction.len);
    return DBZ_SAID;
}

/* Reads "-$1,234.56": a sign, a currency symbol of one character, digits in groups. `digits` gets
 * the text without symbol and commas, and *ret points into it. */
static bool read_money(struct slice text, char *digits, size_t size, struct pg_numeric *ret)
{
    size_t len = 0, i = 0;
    if (i < text.len && text.ptr[i] == '-') {
        digits[len++] = text.ptr[i++];
    }
    i++;
    while (i < text.len && ((unsigned char)text.ptr[i] & 0xc0) == 0x80) {
        i++; /* the other bytes of a symbol that is not ASCII */
    }
    for (; i < text.len && len < size; i++) {
        if (text.ptr[i] != ',') {
            digits[len++] = text.ptr[i];
        }
    }
    return i == text.len && pg_numeric_parse((struct slice){digits, len}, ret);
}

enum dbz_said dbz_money(struct dbz *d, struct slice text)
{
    char digits[48];
    struct pg_numeric n;
    if (!read_money(text, digits, sizeof digits, &n)) {
        return DBZ_FAULT;
    }
    switch (d->conf->decimal) {
    case DECIMAL_PRECISE:
        return add_unscaled(d, &n, MONEY_SCALE);
    case DECIMAL_STRING:
        add_plain(d->out, &n, n.fraction.len);
        return DBZ_SAID;
    case DECIMAL_DOUBLE:
    default:
        break;
    }
    const char *end = n.fraction.ptr + n.fraction.len;
    return dbz_double(d->out, (struct slice){digits, (size_t)(end - digits)}, false);
}

int64_t dbz_millis(int64_t us)
{
    return us / 1000 - (us % 1000 < 0);
}
