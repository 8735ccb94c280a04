/*
 * PostgreSQL's texts of dates, times, timestamps (DateStyle ISO) and intervals (IntervalStyle
 * postgres), as numbers. All of the server's range is kept: years from 4714 BC to 5874897.
 */
#pragma once

#include "base/slice.h"
#include <stdint.h>

enum pg_moment_kind { PG_MOMENT, PG_INFINITY, PG_MINUS_INFINITY };

/* A date, a time or both. Days count from 1970-01-01 in the proleptic Gregorian calendar. */
struct pg_moment {
    enum pg_moment_kind kind;
    int64_t days;
    int32_t seconds; /* of the day; 86400 for 24:00:00 */
    int32_t micros;
    int32_t offset; /* seconds east of UTC as the text says it; days and seconds are not shifted */
};

bool pg_date_parse(struct slice text, struct pg_moment *ret);
bool pg_time_parse(struct slice text, struct pg_moment *ret); /* with or without offset */
bool pg_timestamp_parse(struct slice text, struct pg_moment *ret);

/* Takes the offset away: the same moment in UTC. */
void pg_moment_to_utc(struct pg_moment *m);

/* The fields as the text gives them; each has its own sign. */
struct pg_interval {
    int64_t years, months, days, hours, minutes;
    int64_t micros; /* seconds and their fraction */
};
bool pg_interval_parse(struct slice text, struct pg_interval *ret);
