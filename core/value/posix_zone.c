/* Reads the POSIX notation of a time zone, and computes by it. */
#include "value/posix_zone.h"

#include "base/civil.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 24 * HOUR };

static bool take_char(struct slice *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != c) {
        return false;
    }
    *rest = (struct slice){rest->ptr + 1, rest->len - 1};
    return true;
}

static bool take_number(struct slice *rest, int max, int *ret)
{
    int v = 0;
    size_t n = 0;
    for (; n < rest->len && n < 4 && rest->ptr[n] >= '0' && rest->ptr[n] <= '9'; n++) {
        v = v * 10 + (rest->ptr[n] - '0');
    }
    *rest = (struct slice){rest->ptr + n, rest->len - n};
    *ret = v;
    return n > 0 && v <= max;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool take_time(struct slice *rest, int max_hours, int64_t *ret)
{
    int h, m = 0, s = 0;
    bool negative = take_char(rest, '-');
    if (!negative) {
        take_char(rest, '+');
    }
    if (!take_number(rest, max_hours, &h) ||
        (take_char(rest, ':') &&
         (!take_number(rest, 59, &m) || (take_char(rest, ':') && !take_number(rest, 59, &s))))) {
        return false;
    }
    *ret = (int64_t)h * HOUR + m * MINUTE + s;
    *ret = negative ? -*ret : *ret;
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* "CET" or "<+03>": what the zone is called does not matter here. */
static bool skip_name(struct slice *rest)
{
    size_t n = 0;
    if (take_char(rest, '<')) {
        while (n < rest->len && rest->ptr[n] != '>') {
            n++;
        }
        *rest = (struct slice){rest->ptr + n, rest->len - n};
        return take_char(rest, '>');
    }
    while (n < rest->len && is_letter(rest->ptr[n])) {
        n++;
    }
    *rest = (struct slice){rest->ptr + n, rest->len - n};
    return n >= 3;
}

/* ",M3.5.0/2", ",J60" or ",59". */
static bool take_change(struct slice *rest, struct posix_change *ret)
{
    *ret = (struct posix_change){.second = 2 * HOUR};
    if (!take_char(rest, ',')) {
        return false;
    }
    if (take_char(rest, 'M')) {
        ret->kind = POSIX_MONTH;
        if (!take_number(rest, 12, &ret->month) || !take_char(rest, '.') ||
            !take_number(rest, 5, &ret->week) || !take_char(rest, '.') ||
            !take_number(rest, 6, &ret->weekday) || ret->month == 0 || ret->week == 0) {
            return false;
        }
    } else {
        ret->kind = take_char(rest, 'J') ? POSIX_JULIAN : POSIX_DAY;
        if (!take_number(rest, 365, &ret->day) || (ret->kind == POSIX_JULIAN && ret->day == 0)) {
            return false;
        }
    }
    return !take_char(rest, '/') || take_time(rest, 167, &ret->second);
}

bool posix_zone_read(struct slice text, struct posix_zone *ret)
{
    *ret = (struct posix_zone){0};
    if (!skip_name(&text) || !take_time(&text, 24, &ret->standard)) {
        return false;
    }
    ret->standard = -ret->standard; /* POSIX counts westwards */
    if (text.len == 0) {
        return true;
    }
    ret->has_summer = true;
    ret->summer = ret->standard + HOUR;
    if (!skip_name(&text)) {
        return false;
    }
    if (text.len > 0 && text.ptr[0] != ',') {
        if (!take_time(&text, 24, &ret->summer)) {
            return false;
        }
        ret->summer = -ret->summer;
    }
    return take_change(&text, &ret->begin) && take_change(&text, &ret->end) && text.len == 0;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* The day of the change in a year, in days since 1970. */
static int64_t day_of(const struct posix_change *c, int64_t year)
{
    int64_t first = civil_days(year, 1, 1);
    switch (c->kind) {
    case POSIX_DAY:
        return first + c->day;
    case POSIX_JULIAN:
        return first + c->day - 1 + (is_leap(year) && c->day >= 60);
    case POSIX_MONTH:
        break;
    }
    int64_t day = civil_days(year, c->month, 1),
            next = civil_days(year + c->month / 12, c->month % 12 + 1, 1);
    /* 1970-01-01 was a Thursday, 4. */
    int64_t weekday = ((day + 4) % 7 + 7) % 7;
    day += (c->weekday - weekday + 7) % 7 + (int64_t)7 * (c->week - 1);
    return day < next ? day : day - 7;
}

struct zone_stretch posix_zone_stretch(const struct posix_zone *z, int64_t time)
{
    struct zone_stretch s = {INT64_MIN, INT64_MAX, z->standard, z->standard};
    if (!z->has_summer) {
        return s;
    }
    int64_t year;
    unsigned month, day;
    civil_date(time / DAY - (time % DAY < 0), &year, &month, &day);
    /* The changes of three years; the time lies between two of them. */
    for (int64_t y = year - 1; y <= year + 1; y++) {
        int64_t begin = day_of(&z->begin, y) * DAY + z->begin.second - z->standard;
        int64_t end = day_of(&z->end, y) * DAY + z->end.second - z->summer;
        const struct {
            int64_t at, offset, before;
        } changes[] = {{begin, z->summer, z->standard}, {end, z->standard, z->summer}};
        for (int i = 0; i < 2; i++) {
            int k = begin < end ? i : 1 - i; /* south of the equator the year begins in summer */
            if (changes[k].at <= time) {
                s.start = changes[k].at;
                s.offset = changes[k].offset;
                s.before = changes[k].before;
            } else if (changes[k].at < s.end) {
                s.end = changes[k].at;
            }
        }
    }
    return s;
}
