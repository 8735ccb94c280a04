/*
 * How fast something grows on the whole, drops included, and when it will reach a limit. Plain
 * value; {0} knows nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct growth {
    bool begun;
    int64_t at_us, value;
    int64_t span_us; /* what the rate speaks of: at most the last minute or so */
    double rate;     /* per second */
};

/* What it is at a monotonic time; negative: unknown, so that it begins anew. */
void growth_note(struct growth *g, int64_t now_us, int64_t value);

/* Seconds until `limit` at the present rate; -1: it does not grow, has no limit (negative), or was
 * not watched for long enough. */
int64_t growth_until(const struct growth *g, int64_t limit);
