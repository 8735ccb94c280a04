/*
 * How many events per second may be read: a bucket that fills with time and holds a tenth of a
 * second's worth, so that a pause is not made up for by a burst. Pure; used by one thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct rate {
    int64_t per_second; /* 0: no limit */
    double tokens;
    int64_t at_us; /* monotonic: when `tokens` was true */
};

void rate_init(struct rate *r, int64_t per_second);

/* How many events may be read now; SIZE_MAX without a limit. */
size_t rate_left(struct rate *r, int64_t now_us);

/* `events` were read: not more than rate_left has allowed. */
void rate_take(struct rate *r, size_t events);

/* When one more may be read (monotonic). */
int64_t rate_due(const struct rate *r);
