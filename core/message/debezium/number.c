/* Numbers keep every digit they have, in the notation of Java's Double.toString and BigDecimal. */
#include "message/debezium/debezium.h"

#include "value/pg_numeric.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMERIC_HEADER = 4, MONEY_SCALE = 2, DIGITS_MAX = 17 };

/* d.ddd times ten to the power of exponent; no zeros at either end, but a lone one for zero. */
struct digits {
    bool negative;
    int exponent, count;
    char digit[DIGITS_MAX];
};

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

/* Java's notation: plain from 10^-3 up to 10^7, else d.dddE±n; a digit on both sides of the point.
 */
static void add_digits(struct buf *out, const struct digits *n)
{
    char text[DIGITS_MAX + 16];
    size_t len = 0;
    int e = n->exponent;
    bool plain = e >= -3 && e < 7;
    int whole = plain ? e : 0; /* the place in front of the point; 0 is the first digit's */
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

/* "e-07" is added to *ret. */
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

/* Reads "-12.50e+10" into its significant digits; false if there are more than fit or it is no
 * decimal number. */
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

static bool same_number(const char *text, double v, bool single)
{
    return single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v;
}

/* The neighbours of a decimal in its last place: at a power of two the spacing below is half of
 * that above, and the nearest decimal may miss where its neighbour hits. */
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

/* The shortest decimal of at least two digits that reads back as the same number, the nearest of
 * them: java.lang.Double.toString since JDK 19. */
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

/* A decimal of so few digits is the shortest one for its number already: no other of that length
 * reads back as the same. */
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
    if (text.len >= sizeof few && !(copy = malloc(text.len + 1))) {
        abort();
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

/* As the driver reads the modifier: a negative scale becomes a large one, and Debezium pads it. */
static size_t scale_of(int32_t typmod)
{
    return (size_t)((typmod - NUMERIC_HEADER) & 0xffff);
}

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

static enum dbz_said add_unscaled(struct dbz *d, const struct pg_numeric *n, size_t scale)
{
    buf_clear(&d->scratch.bytes);
    if (!pg_numeric_unscaled(n, scale, &d->scratch.bytes)) {
        return DBZ_FAULT;
    }
    dbz_base64(d->out, buf_slice(&d->scratch.bytes));
    return DBZ_SAID;
}

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

/* NaN and the infinities have no bytes, so the precise mode passes them over. */
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

/* "-$1,234.56": a sign, a currency symbol of one character, digits in groups. */
static bool read_money(struct slice text, char *digits, size_t size, struct pg_numeric *ret)
{
    size_t len = 0, i = 0;
    if (i < text.len && text.ptr[i] == '-') {
        digits[len++] = text.ptr[i++];
    }
    i++;
    while (i < text.len && ((unsigned char)text.ptr[i] & 0xc0) == 0x80) {
        i++; /* the rest of a symbol beyond ASCII */
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
