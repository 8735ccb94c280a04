/*
 * Schedules as cron has them: "minute hour day-of-month month day-of-week", in the time of a zone.
 * Example: "0 2 * * 1-5" is two o'clock from Monday to Friday.
 *
 * A field is `*`, a number, a range "1-5", each with a step ("*" "/15", "8-18/2"), or several of
 * these with commas. Months and weekdays may be English words of three letters; Sunday is 0 or 7.
 * If both day fields are given, a day that fits one of them is enough, as in cron.
 *
 * When the clock is set forward, a time that is left out comes at the moment of the change. When it
 * is set back, a time that there is twice comes the first time only. With `*` for the hour neither
 * is so: such a schedule means the passing hours, not a time of day.
 *
 * Plain values; any thread.
 */
#pragma once

#include "value/zone.h"
#include <stdbool.h>

struct cron {
    uint64_t minutes;          /* bit n: minute n */
    uint32_t hours, days;      /* bits 0 to 23, 1 to 31 */
    uint32_t months;           /* bits 1 to 12 */
    uint32_t weekdays;         /* bits 0 (Sunday) to 6 */
    bool any_day, any_weekday; /* the field is `*` */
    bool any_hour;
};

/* CONFIG: the text names no schedule, or one that never comes, such as 30 February. */
int cron_read(const char *text, struct cron *ret, struct error *err) MUST_CHECK;

/* The first time of the schedule behind `after`, both in seconds since 1970 UTC. INT64_MAX: none in
 * the next ten years. */
int64_t cron_next(const struct cron *c, const struct zone *z, int64_t after);
