/* Reads dates, times, timestamps and intervals as the server prints them. Every take_ function
 * reads the front of the text and moves the slice behind it. */
#include "value/pg_time.h"

#include "base/civil.h"

enum { DAY = 86400 };

/* Up to `most` digits; the number of digits read. */
static unsigned digits(struct slice *s, unsigned most, int64_t *ret)
{
    unsigned n = 0;
    int64_t v = 0;
    while (n < most && n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9') {
        v = v * 10 + (s->ptr[n++] - '0');
    }
    s->ptr += n;
    s->len -= n;
    *ret = v;
    return n;
}

static bool take(struct slice *s, char c)
{
    if (s->len == 0 || s->ptr[0] != c) {
        return false;
    }
    s->ptr++;
    s->len--;
    return true;
}

/* Two digits, a number up to `most`. */
static bool two(struct slice *s, int64_t most, int64_t *ret)
{
    return digits(s, 2, ret) == 2 && *ret <= most;
}

/* Cuts " BC" off the end; a timestamp has it there too, behind the offset. */
static bool cut_bc(struct slice *s)
{
    if (s->len > 3 && memcmp(s->ptr + s->len - 3, " BC", 3) == 0) {
        s->len -= 3;
        return true;
    }
    return false;
}

/* There is no year 0: 1 BC is the year 0 of civil_days, 2 BC is -1. */
static bool take_date(struct slice *s, bool bc, struct pg_moment *ret)
{
    int64_t y, m, d;
    if (digits(s, 9, &y) < 4 || !take(s, '-') || !two(s, 12, &m) || !take(s, '-') ||
        !two(s, 31, &d) || m == 0 || d == 0) {
        return false;
    }
    ret->days = civil_days(bc ? 1 - y : y, m, d);
    return true;
}

/* One to six digits after the point, as microseconds. */
static bool take_fraction(struct slice *s, int32_t *ret)
{
    int64_t v;
    unsigned n = digits(s, 6, &v);
    for (unsigned i = n; i < 6; i++) {
        v *= 10;
    }
    *ret = (int32_t)v;
    return n > 0;
}

static bool take_clock(struct slice *s, struct pg_moment *ret)
{
    int64_t h, m, sec;
    if (!two(s, 24, &h) || !take(s, ':') || !two(s, 59, &m) || !take(s, ':') || !two(s, 60, &sec)) {
        return false;
    }
    ret->seconds = (int32_t)(h * 3600 + m * 60 + sec);
    ret->micros = 0;
    return !take(s, '.') || take_fraction(s, &ret->micros);
}

/* "+02", "-05:30", "+00:19:32" or nothing. */
static bool take_offset(struct slice *s, struct pg_moment *ret)
{
    int64_t h = 0, m = 0, sec = 0;
    ret->offset = 0;
    if (s->len == 0) {
        return true;
    }
    bool minus = s->ptr[0] == '-';
    if (!take(s, '+') && !take(s, '-')) {
        return false;
    }
    if (!two(s, 99, &h) || (take(s, ':') && !two(s, 59, &m)) ||
        (take(s, ':') && !two(s, 59, &sec))) {
        return false;
    }
    int32_t offset = (int32_t)(h * 3600 + m * 60 + sec);
    ret->offset = minus ? -offset : offset;
    return true;
}

static bool infinite(struct slice s, struct pg_moment *ret)
{
    *ret = (struct pg_moment){.kind = PG_MOMENT};
    if (slice_equal_str(s, "infinity")) {
        ret->kind = PG_INFINITY;
    } else if (slice_equal_str(s, "-infinity")) {
        ret->kind = PG_MINUS_INFINITY;
    }
    return ret->kind != PG_MOMENT;
}

bool pg_date_parse(struct slice text, struct pg_moment *ret)
{
    if (infinite(text, ret)) {
        return true;
    }
    bool bc = cut_bc(&text);
    return take_date(&text, bc, ret) && text.len == 0;
}

bool pg_time_parse(struct slice text, struct pg_moment *ret)
{
    *ret = (struct pg_moment){.kind = PG_MOMENT};
    return take_clock(&text, ret) && take_offset(&text, ret) && text.len == 0;
}

bool pg_timestamp_parse(struct slice text, struct pg_moment *ret)
{
    if (infinite(text, ret)) {
        return true;
    }
    bool bc = cut_bc(&text);
    return take_date(&text, bc, ret) && take(&text, ' ') && take_clock(&text, ret) &&
           take_offset(&text, ret) && text.len == 0;
}

void pg_moment_to_utc(struct pg_moment *m)
{
    int64_t s = (int64_t)m->seconds - m->offset;
    int64_t day = s >= 0 ? s / DAY : -((DAY - 1 - s) / DAY);
    m->days += day;
    m->seconds = (int32_t)(s - day * DAY);
    m->offset = 0;
}

/* The rest of "-04:05:06.789123" behind the hours. The sign holds for all of its fields. */
static bool take_span(struct slice *s, bool minus, int64_t hours, struct pg_interval *ret)
{
    int64_t m, sec;
    int32_t micros = 0;
    if (!two(s, 59, &m) || !take(s, ':') || !two(s, 59, &sec) ||
        (take(s, '.') && !take_fraction(s, &micros))) {
        return false;
    }
    int64_t sign = minus ? -1 : 1;
    ret->hours = sign * hours;
    ret->minutes = sign * m;
    ret->micros = sign * (sec * 1000000 + micros);
    return true;
}

/* The field that the unit behind a number names (" year", " mons"); NULL if it is none. */
static int64_t *unit_of(struct slice *s, struct pg_interval *ret)
{
    static const struct {
        const char *name;
        size_t offset;
    } units[] = {{" year", offsetof(struct pg_interval, years)},
                 {" mon", offsetof(struct pg_interval, months)},
                 {" day", offsetof(struct pg_interval, days)}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n = strlen(units[i].name);
        if (s->len >= n && memcmp(s->ptr, units[i].name, n) == 0) {
            s->ptr += n;
            s->len -= n;
            take(s, 's');
            return (int64_t *)(void *)((char *)ret + units[i].offset);
        }
    }
    return NULL;
}

bool pg_interval_parse(struct slice text, struct pg_interval *ret)
{
    *ret = (struct pg_interval){0};
    while (text.len > 0) {
        int64_t n;
        bool minus = text.ptr[0] == '-';
        if (minus || text.ptr[0] == '+') {
            text.ptr++;
            text.len--;
        }
        if (digits(&text, 18, &n) == 0) {
            return false;
        }
        if (take(&text, ':')) {
            return take_span(&text, minus, n, ret) && text.len == 0;
        }
        int64_t *field = unit_of(&text, ret);
        if (!field) {
            return false;
        }
        *field = minus ? -n : n;
        if (text.len > 0 && (!take(&text, ' ') || text.len == 0)) {
            return false;
        }
    }
    return true;
}
