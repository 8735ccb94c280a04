/*
 * Reads PostgreSQL's texts of dates, times, timestamps (DateStyle ISO) and intervals (IntervalStyle
 * postgres) into numbers. All that the server can hold is read: dates from 4714-11-24 BC (its
 * manual says 4713 BC, the year of that day in the Julian calendar) to the year 5874897.
 *
 * The texts come from the server, so the form is checked, and not whether a month has a 31st day.
 * The functions return false if the form is another one; *ret is garbage then.
 *
 * Any thread. Nothing is allocated.
 */
#pragma once

#include "base/slice.h"
#include <stdint.h>

enum pg_moment_kind { PG_MOMENT, PG_INFINITY, PG_MINUS_INFINITY };

/* A date, a time or both; what the text has not is 0. Days count from 1970-01-01 in the proleptic
 * Gregorian calendar. For the infinities only `kind` counts. */
struct pg_moment {
    enum pg_moment_kind kind;
    int64_t days;
    int32_t seconds; /* of the day; 86400 for 24:00:00 */
    int32_t micros;  /* of the second */
    int32_t offset;  /* seconds east of UTC as the text says it; days and seconds are not shifted */
};

/* Date and timestamp read "infinity" and "-infinity" too. Offsets have the form +hh, +hh:mm or
 * +hh:mm:ss. */
bool pg_date_parse(struct slice text, struct pg_moment *ret);
bool pg_time_parse(struct slice text, struct pg_moment *ret); /* with or without offset */
bool pg_timestamp_parse(struct slice text, struct pg_moment *ret);

/* Turns it into the same moment with offset 0. A time without a date may go past midnight:
 * then `days` is -1 or 1. */
void pg_moment_to_utc(struct pg_moment *m);

/* The fields as the text gives them, each with its own sign: "-1 years +3 days -04:05:06.5". */
struct pg_interval {
    int64_t years, months, days, hours, minutes;
    int64_t micros; /* seconds and their fraction */
};
/* "infinity" is no interval here; the caller looks for it before. */
bool pg_interval_parse(struct slice text, struct pg_interval *ret);
