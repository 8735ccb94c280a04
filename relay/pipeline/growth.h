/*
 * Estimates how fast a value grows and when it will reach a limit, for example the WAL that a
 * replication slot keeps. A value that shrinks for a while lowers the estimate.
 *
 * A plain struct that starts as {0}; nothing here allocates or fails. One thread per struct.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct growth {
    bool begun;           /* there is a first value */
    int64_t at_us, value; /* the last value, and when it was noted (monotonic) */
    int64_t span_us;      /* how long it has been watched, at most one minute */
    double rate; /* units per second: the mean of the first minute, afterwards one in which older
                    times count less and less (time constant: one minute) */
};

/* Notes the value at a monotonic time. A negative value means unknown: everything is forgotten. */
void growth_note(struct growth *g, int64_t now_us, int64_t value);

/* Seconds until the value reaches `limit` at the present rate; 0 if it has. -1 if it does not grow,
 * if there is no limit (negative), or if it was watched for less than five seconds. */
int64_t growth_until(const struct growth *g, int64_t limit);
