/* Reads the two clocks, and writes and reads wall clock times as text. The texts are written and
 * read by hand, because gmtime and strptime know neither microseconds nor all the forms that
 * databases write. */
#include "base/clock.h"

#include "base/civil.h"
#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * US_PER_SECOND + t.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

static int64_t days_in_month(int64_t y, int64_t m)
{
    return civil_days(m < 12 ? y : y + 1, m < 12 ? m + 1 : 1, 1) - civil_days(y, m, 1);
}

/* Writes v with zeros in front and returns where to go on. */
static char *put_digits(char *p, int64_t v, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        p[i] = (char)('0' + v % 10);
        v /= 10;
    }
    return p + width;
}

void clock_format_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_SIZE])
{
    const int64_t day_us = INT64_C(86400) * US_PER_SECOND;
    int64_t days = wall_us / day_us, rest = wall_us % day_us;
    if (rest < 0) {
        days--;
        rest += day_us;
    }
    int64_t y;
    unsigned m, d;
    civil_date(days, &y, &m, &d);
    if (y < 0 || y > 9999) {
        snprintf(out, CLOCK_RFC3339_SIZE, "%lldus", (long long)wall_us);
        return;
    }
    char *p = put_digits(out, y, 4);
    *p++ = '-';
    p = put_digits(p, m, 2);
    *p++ = '-';
    p = put_digits(p, d, 2);
    *p++ = 'T';
    int64_t s = rest / US_PER_SECOND;
    p = put_digits(p, s / 3600, 2);
    *p++ = ':';
    p = put_digits(p, s / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, s % 60, 2);
    *p++ = '.';
    p = put_digits(p, rest % US_PER_SECOND, 6);
    *p++ = 'Z';
    *p = '\0';
}

/* Exactly `width` digits. */
static bool digits(const char **p, const char *end, int width, int64_t *out)
{
    if (end - *p < width) {
        return false;
    }
    int64_t v = 0;
    for (int i = 0; i < width; i++, (*p)++) {
        if (**p < '0' || **p > '9') {
            return false;
        }
        v = v * 10 + (**p - '0');
    }
    *out = v;
    return true;
}

static bool literal(const char **p, const char *end, char c)
{
    if (*p == end || **p != c) {
        return false;
    }
    (*p)++;
    return true;
}

/* ".ffffff", any number of digits; those past the sixth are dropped. */
static bool fraction(const char **p, const char *end, int64_t *us)
{
    int64_t unit = 100000;
    *us = 0;
    if (!literal(p, end, '.')) {
        return true;
    }
    const char *first = *p;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++, unit /= 10) {
        *us += (**p - '0') * unit;
    }
    return *p > first;
}

/* "Z", "+hh", "+hh:mm", "+hhmm", "+hh:mm:ss" or nothing, up to the end of the text. */
static bool offset(const char **p, const char *end, int64_t *seconds)
{
    *seconds = 0;
    if (*p == end) {
        return true;
    }
    if (literal(p, end, 'Z')) {
        return *p == end;
    }
    bool minus = literal(p, end, '-');
    if (!minus && !literal(p, end, '+')) {
        return false;
    }
    int64_t part = 0, unit = 3600;
    do {
        if (unit < 3600) {
            literal(p, end, ':');
        }
        if (!digits(p, end, 2, &part) || part > (unit == 3600 ? 15 : 59)) {
            return false;
        }
        *seconds += part * unit;
        unit /= 60;
    } while (*p < end && unit >= 1);
    *seconds = minus ? -*seconds : *seconds;
    return *p == end;
}

bool clock_parse_timestamp(struct slice text, int64_t *ret_wall_us)
{
    const char *p = text.ptr, *end = text.ptr + text.len;
    int64_t y, mo, d, h, mi, s, us, off;
    if (slice_is_null(text) || !digits(&p, end, 4, &y) || !literal(&p, end, '-') ||
        !digits(&p, end, 2, &mo) || !literal(&p, end, '-') || !digits(&p, end, 2, &d) ||
        (!literal(&p, end, ' ') && !literal(&p, end, 'T')) || !digits(&p, end, 2, &h) ||
        !literal(&p, end, ':') || !digits(&p, end, 2, &mi) || !literal(&p, end, ':') ||
        !digits(&p, end, 2, &s) || !fraction(&p, end, &us) || !offset(&p, end, &off)) {
        return false;
    }
    bool midnight =
        h == 24 && mi == 0 && s == 0 && us == 0; /* of the next day; PostgreSQL allows it too */
    if (mo < 1 || mo > 12 || d < 1 || (d > 28 && d > days_in_month(y, mo)) ||
        (h > 23 && !midnight) || mi > 59 || s > 60) {
        return false;
    }
    *ret_wall_us =
        (civil_days(y, mo, d) * 86400 + h * 3600 + mi * 60 + s - off) * US_PER_SECOND + us;
    return true;
}
