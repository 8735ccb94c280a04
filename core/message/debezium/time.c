/* Encodes dates, times and intervals: as a number in the unit that follows from the `time` option
 * and the column's precision, or as ISO 8601 text. Where Debezium's arithmetic overflows or rounds,
 * this does the same. */
#include "message/debezium/debezium.h"

#include "base/civil.h"
#include <stdio.h>

enum { MILLIS_DIGITS = 3, MICROS_DIGITS = 6 };

/* What Debezium makes of `infinity` and `-infinity`: the Java driver has special values for them,
 * and Debezium converts these like any date. In microseconds and in days since 1970-01-01. */
static const int64_t infinite_us[] = {
    [PG_INFINITY] = 9223372036825200000, [PG_MINUS_INFINITY] = -9223372036832400000};
static const int64_t infinite_days[] = {
    [PG_INFINITY] = -2147472692, [PG_MINUS_INFINITY] = -2147472691};

/* Rounds down, unlike C's division. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Replaces an infinity by the moment that Debezium makes of it. */
static void make_finite(struct pg_moment *m)
{
    if (m->kind == PG_MOMENT) {
        return;
    }
    int64_t us = infinite_us[m->kind], seconds = floor_div(us, US_PER_SECOND);
    m->days = floor_div(seconds, 86400);
    m->seconds = (int32_t)(seconds - m->days * 86400);
    m->micros = (int32_t)(us - seconds * US_PER_SECOND);
    m->kind = PG_MOMENT;
}

/* Writes at least `width` digits, with zeros in front. Returns the end. */
static char *put_number(char *to, uint64_t v, int width)
{
    char digits[20];
    int n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0 || n < width);
    while (n > 0) {
        *to++ = digits[--n];
    }
    return to;
}

/* ISO 8601 with Java's years: a sign before those of more than four digits and those before the
 * year 0. */
static void add_date(struct buf *out, int64_t days)
{
    int64_t year;
    unsigned month, day;
    char text[40], *p = text;
    civil_date(days, &year, &month, &day);
    if (year < 0 || year > 9999) {
        *p++ = year < 0 ? '-' : '+';
    }
    p = put_number(p, (uint64_t)(year < 0 ? -year : year), 4);
    *p++ = '-';
    p = put_number(p, month, 2);
    *p++ = '-';
    p = put_number(p, day, 2);
    dbz_add(out, text, (size_t)(p - text));
}

/* Adds hh:mm:ss and Z. `digits` stand behind the point; 0: as many as are needed. */
static void add_clock(struct buf *out, int32_t seconds, int32_t micros, int digits)
{
    char text[32], *p = text;
    p = put_number(p, (uint64_t)(seconds / 3600 % 24), 2);
    *p++ = ':';
    p = put_number(p, (uint64_t)(seconds / 60 % 60), 2);
    *p++ = ':';
    p = put_number(p, (uint64_t)(seconds % 60), 2);
    if (digits > 0 || micros != 0) {
        *p++ = '.';
        char *end = put_number(p, (uint64_t)micros, MICROS_DIGITS);
        if (digits > 0 && digits < MICROS_DIGITS) {
            end = p + digits;
        }
        for (; digits <= 0 && end[-1] == '0'; end--) {
        }
        p = end;
    }
    *p++ = 'Z';
    dbz_add(out, text, (size_t)(p - text));
}

/* The moment in microseconds, as Java computes it: seconds that do not fit become the largest or
 * smallest value (TimeUnit), and adding the microseconds then wraps around. */
static int64_t in_micros(int64_t seconds, int32_t micros)
{
    int64_t v;
    if (__builtin_mul_overflow(seconds, US_PER_SECOND, &v)) {
        v = seconds < 0 ? INT64_MIN : INT64_MAX;
    }
    return (int64_t)((uint64_t)v + (uint64_t)micros);
}

/* Always with `connect`; with `adaptive` where the column has at most three digits behind the
 * point; with `adaptive_time_microseconds` only for such timestamps. Times in an array are in
 * microseconds even where a column alone would be in milliseconds, except with `connect`. */
bool dbz_in_millis(const struct encode_conf *conf, const struct dbz_type *t)
{
    bool coarse = t->typmod >= 0 && t->typmod <= MILLIS_DIGITS;
    if (t->kind == DBZ_TIME && t->element) {
        coarse = false;
    }
    return conf->time == TIME_CONNECT ||
           (coarse && (conf->time == TIME_ADAPTIVE ||
                       (conf->time == TIME_ADAPTIVE_MICROSECONDS && t->kind == DBZ_TIMESTAMP)));
}

static void add_day(struct dbz *d, const struct pg_moment *m)
{
    int64_t days = m->kind == PG_MOMENT ? m->days : infinite_days[m->kind];
    if (d->conf->time == TIME_ISOSTRING) {
        dbz_add_char(d->out, '"');
        add_date(d->out, days);
        DBZ_LITERAL(d->out, "Z\"");
    } else {
        dbz_i64(d->out, days);
    }
}

static void add_time_of_day(struct dbz *d, const struct dbz_type *t, const struct pg_moment *m)
{
    int64_t us = m->seconds * US_PER_SECOND + m->micros;
    if (d->conf->time == TIME_ISOSTRING) {
        dbz_add_char(d->out, '"');
        add_clock(d->out, m->seconds, m->micros, 0);
        dbz_add_char(d->out, '"');
    } else if (d->conf->time == TIME_NANOSECONDS) {
        dbz_i64(d->out, us * 1000);
    } else if (dbz_in_millis(d->conf, t)) {
        dbz_i64(d->out, us / 1000);
    } else {
        dbz_i64(d->out, us);
    }
}

static void add_timestamp(struct dbz *d, const struct dbz_type *t, struct pg_moment *m)
{
    make_finite(m);
    int64_t seconds = m->days * 86400 + m->seconds;
    if (d->conf->time == TIME_ISOSTRING) {
        dbz_add_char(d->out, '"');
        add_date(d->out, m->days);
        dbz_add_char(d->out, 'T');
        add_clock(d->out, m->seconds, m->micros, 0);
        dbz_add_char(d->out, '"');
    } else if (d->conf->time == TIME_NANOSECONDS) {
        int64_t of_day = (m->seconds * US_PER_SECOND + m->micros) * 1000;
        uint64_t of_days = (uint64_t)m->days * (uint64_t)(86400 * US_PER_SECOND * 1000);
        dbz_i64(d->out, (int64_t)(of_days + (uint64_t)of_day));
    } else if (dbz_in_millis(d->conf, t)) {
        dbz_i64(d->out, seconds * 1000 + m->micros / 1000);
    } else {
        dbz_i64(d->out, in_micros(seconds, m->micros));
    }
}

/* timestamptz is always ISO text in UTC, with as many digits as the column declares. */
static void add_zoned(struct buf *out, const struct dbz_type *t, struct pg_moment *m)
{
    dbz_add_char(out, '"');
    if (m->kind != PG_MOMENT) {
        buf_add_str(out, m->kind == PG_INFINITY ? "infinity" : "-infinity");
    } else {
        pg_moment_to_utc(m);
        add_date(out, m->days);
        dbz_add_char(out, 'T');
        add_clock(out, m->seconds, m->micros, t->typmod < 0 ? MICROS_DIGITS : (int)t->typmod);
    }
    dbz_add_char(out, '"');
}

enum dbz_said dbz_time(struct dbz *d, const struct dbz_type *t, struct slice text)
{
    struct pg_moment m;
    bool only_date = t->kind == DBZ_DATE, only_time = t->kind == DBZ_TIME || t->kind == DBZ_TIMETZ;
    if (!(only_date   ? pg_date_parse(text, &m)
          : only_time ? pg_time_parse(text, &m)
                      : pg_timestamp_parse(text, &m))) {
        return DBZ_FAULT;
    }
    if (only_date) {
        add_day(d, &m);
    } else if (t->kind == DBZ_TIME) {
        add_time_of_day(d, t, &m);
    } else if (t->kind == DBZ_TIMESTAMP) {
        add_timestamp(d, t, &m);
    } else if (t->kind == DBZ_TIMESTAMPTZ) {
        add_zoned(d->out, t, &m);
    } else {
        pg_moment_to_utc(&m);
        dbz_add_char(d->out, '"');
        add_clock(d->out, m.seconds, m.micros, 0);
        dbz_add_char(d->out, '"');
    }
    return DBZ_SAID;
}

/* Adds seconds without zeros at the end: "-6.789". */
static void add_seconds(struct buf *out, int64_t micros)
{
    uint64_t us = micros < 0 ? 0 - (uint64_t)micros : (uint64_t)micros;
    char text[40];
    int n = snprintf(text, sizeof text, "%s%llu.%06llu", micros < 0 ? "-" : "",
                     (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000));
    while (text[n - 1] == '0') {
        n--;
    }
    dbz_add(out, text, (size_t)(n - (text[n - 1] == '.')));
}

/* The length of an interval in microseconds as Debezium computes it: in doubles, with 365.25 / 12
 * days to a month; what is left behind the point is cut off. */
static int64_t duration_us(const struct pg_interval *i)
{
    double days = (double)(i->years * 12 + i->months) * (365.25 / 12.0) + (double)i->days;
    double seconds = ((days * 24 + (double)i->hours) * 60 + (double)i->minutes) * 60 +
                     (double)i->micros / 1000000.0;
    double us = seconds * 1e6;
    if (us >= 9223372036854775808.0) {
        return INT64_MAX;
    }
    return us <= -9223372036854775808.0 ? INT64_MIN : (int64_t)us;
}

enum dbz_said dbz_interval(struct dbz *d, struct slice text)
{
    struct pg_interval i = {0};
    /* Infinite intervals came with PostgreSQL 17. Debezium 3.0.8 takes one for an empty interval.
     */
    bool endless = slice_equal_str(text, "infinity") || slice_equal_str(text, "-infinity");
    if (!endless && !pg_interval_parse(text, &i)) {
        return DBZ_FAULT;
    }
    if (d->conf->interval == INTERVAL_NUMERIC) {
        dbz_i64(d->out, duration_us(&i));
        return DBZ_SAID;
    }
    buf_printf(d->out, "\"P%lldY%lldM%lldDT%lldH%lldM", (long long)i.years, (long long)i.months,
               (long long)i.days, (long long)i.hours, (long long)i.minutes);
    add_seconds(d->out, i.micros);
    DBZ_LITERAL(d->out, "S\"");
    return DBZ_SAID;
}
