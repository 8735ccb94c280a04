/* Reads a cron expression, and finds its next time. */
#include "value/cron.h"

#include "base/civil.h"
#include <string.h>
#include <strings.h>

enum { MINUTE = 60, HOUR = 3600, DAY = 24 * HOUR };
/* 29 February on the Sunday of one's choice comes again after 28 years, across 2100 after 40; but
 * the day alone is never more than 8 years away. */
static const int64_t HORIZON = INT64_C(10) * 366 * DAY;

struct field {
    const char *name;
    int min, max;
    const char *words; /* of three letters each, one after the other, from `min` on; or NULL */
};

static const struct field fields[] = {
    {"minute", 0, 59, NULL},
    {"hour", 0, 23, NULL},
    {"day of month", 1, 31, NULL},
    {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {"day of week", 0, 7, "sunmontuewedthufrisat"},
};
enum { FIELDS = sizeof fields / sizeof *fields };

static bool take_char(struct slice *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != c) {
        return false;
    }
    *rest = (struct slice){rest->ptr + 1, rest->len - 1};
    return true;
}

static bool take_word(struct slice *rest, const struct field *f, int *ret)
{
    for (size_t i = 0; f->words && f->words[3 * i] && rest->len >= 3; i++) {
        if (strncasecmp(rest->ptr, f->words + 3 * i, 3) == 0) {
            *rest = (struct slice){rest->ptr + 3, rest->len - 3};
            *ret = f->min + (int)i;
            return true;
        }
    }
    return false;
}

static bool take_number(struct slice *rest, int min, int max, int *ret)
{
    int v = 0;
    size_t n = 0;
    for (; n < rest->len && n < 3 && rest->ptr[n] >= '0' && rest->ptr[n] <= '9'; n++) {
        v = v * 10 + (rest->ptr[n] - '0');
    }
    *rest = (struct slice){rest->ptr + n, rest->len - n};
    *ret = v;
    return n > 0 && v >= min && v <= max;
}

static bool take_value(struct slice *rest, const struct field *f, int *ret)
{
    return take_word(rest, f, ret) || take_number(rest, f->min, f->max, ret);
}

/* One item of a list. */
static bool take_item(struct slice *rest, const struct field *f, uint64_t *bits)
{
    int from = f->min, to = f->max, step = 1;
    bool range = take_char(rest, '*');
    if (!range) {
        if (!take_value(rest, f, &from)) {
            return false;
        }
        range = take_char(rest, '-');
        to = from;
        if (range && (!take_value(rest, f, &to) || to < from)) {
            return false;
        }
    }
    if (take_char(rest, '/') && (!range || !take_number(rest, 1, f->max, &step))) {
        return false;
    }
    for (; from <= to; from += step) {
        *bits |= UINT64_C(1) << from;
    }
    return true;
}

static bool read_field(struct slice text, const struct field *f, uint64_t *ret)
{
    *ret = 0;
    do {
        if (!take_item(&text, f, ret)) {
            return false;
        }
    } while (take_char(&text, ','));
    return text.len == 0;
}

/* The next word of the text; empty at its end. */
static struct slice next_word(const char **p)
{
    *p += strspn(*p, " \t");
    struct slice word = {*p, strcspn(*p, " \t")};
    *p += word.len;
    return word;
}

/* Whether one of the days is in one of the months. */
static bool comes_ever(const struct cron *c)
{
    static const unsigned char lengths[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool found = !c->any_weekday;
    for (int m = 1; m <= 12; m++) {
        for (int d = 1; d <= lengths[m]; d++) {
            found = found || (c->months >> m & 1 && c->days >> d & 1);
        }
    }
    return found;
}

int cron_read(const char *text, struct cron *ret, struct error *err)
{
    uint64_t bits[FIELDS];
    bool any[FIELDS];
    const char *p = text;
    for (int i = 0; i < FIELDS; i++) {
        struct slice word = next_word(&p);
        any[i] = slice_equal_str(word, "*");
        if (word.len == 0 || !read_field(word, &fields[i], &bits[i])) {
            return error_set(
                err, ERROR_CONFIG, "cron",
                "`%.100s` is no schedule: its %s must be * or %d to %d, with ranges, lists and steps; five fields, such as \"0 2 * * *\"",
                text, fields[i].name, fields[i].min, fields[i].max);
        }
    }
    if (next_word(&p).len > 0) {
        return error_set(err, ERROR_CONFIG, "cron",
                         "`%.100s` is no schedule: it has more than five fields", text);
    }
    *ret = (struct cron){.minutes = bits[0],
                         .hours = (uint32_t)bits[1],
                         .days = (uint32_t)bits[2],
                         .months = (uint32_t)bits[3],
                         .weekdays = (uint32_t)(bits[4] | bits[4] >> 7),
                         .any_hour = any[1],
                         .any_day = any[2],
                         .any_weekday = any[4]};
    return comes_ever(ret) ? RESULT_DONE
                           : error_set(err, ERROR_CONFIG, "cron",
                                       "the schedule `%.100s` names a day that never comes", text);
}

/* Whether the schedule has this day, in days since 1970. */
static bool has_day(const struct cron *c, int64_t days)
{
    int64_t year;
    unsigned month, day;
    civil_date(days, &year, &month, &day);
    if (!(c->months >> month & 1)) {
        return false;
    }
    int64_t weekday = ((days + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
    bool by_day = c->days >> day & 1, by_weekday = c->weekdays >> weekday & 1;
    return c->any_day || c->any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The first time of the schedule from `from` on and before `to`, all local; INT64_MAX: none. */
static int64_t first_match(const struct cron *c, int64_t from, int64_t to)
{
    for (int64_t day = floor_div(from, DAY); day * DAY < to; day++) {
        if (!has_day(c, day)) {
            continue;
        }
        for (int minute = 0; minute < 24 * 60; minute++) {
            int64_t at = day * DAY + (int64_t)minute * MINUTE;
            if (at >= from && at < to && c->hours >> (minute / 60) & 1 &&
                c->minutes >> (minute % 60) & 1) {
                return at;
            }
        }
    }
    return INT64_MAX;
}

/* The first time in a stretch from `from` on and before `to`. */
static int64_t in_stretch(const struct cron *c, const struct zone_stretch *s, int64_t from,
                          int64_t to)
{
    bool begins = from == s->start && !c->any_hour;
    if (begins && s->offset > s->before &&
        first_match(c, from + s->before, from + s->offset) != INT64_MAX) {
        return from; /* for a time that was left out */
    }
    int64_t local = from + s->offset;
    if (!c->any_hour && s->offset < s->before && s->start + s->before > local) {
        local = s->start + s->before; /* what came before a second time */
    }
    int64_t found = first_match(c, local, to + s->offset);
    return found == INT64_MAX ? found : found - s->offset;
}

int64_t cron_next(const struct cron *c, const struct zone *z, int64_t after)
{
    int64_t end = after + HORIZON;
    for (int64_t from = after + 1; from < end;) {
        struct zone_stretch s = zone_stretch_at(z, from);
        int64_t found = in_stretch(c, &s, from, s.end < end ? s.end : end);
        if (found != INT64_MAX) {
            return found;
        }
        from = s.end;
    }
    return INT64_MAX;
}
