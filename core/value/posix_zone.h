/*
 * A time zone as POSIX writes it: "UTC0", "CET-1CEST,M3.5.0,M10.5.0/3". It is the rule for the time
 * behind the last entry of a time zone file. Plain values; any thread.
 */
#pragma once

#include "value/zone.h"
#include <stdbool.h>

/* The day and the second of it at which a clock is changed, in the local time before. */
struct posix_change {
    enum { POSIX_MONTH, POSIX_DAY, POSIX_JULIAN } kind;
    int month, week, weekday; /* MONTH: the week'th weekday of it; week 5: the last */
    int day;                  /* DAY: 0 to 365; JULIAN: 1 to 365, 29 February is not counted */
    int64_t second;           /* -167 to 167 hours */
};

struct posix_zone {
    int64_t standard, summer; /* local time minus UTC, in seconds */
    bool has_summer;
    struct posix_change begin, end; /* of summer time */
};

/* False: this is no rule. */
bool posix_zone_read(struct slice text, struct posix_zone *ret);

/* The stretch of the time by the rule alone. */
struct zone_stretch posix_zone_stretch(const struct posix_zone *z, int64_t time);
