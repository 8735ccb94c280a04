/*
 * Exponential backoff with full jitter: each wait is uniform in [0, min(max, initial * 2^n)], but
 * never under 1 ms (or `initial`, if that is set to less). Only the pipeline waits; this only
 * computes. (Exponential Backoff And Jitter, AWS Architecture Blog, 2015.)
 */
#pragma once

#include <stdint.h>

struct backoff {
    int64_t initial_us, max_us;
    unsigned tries;  /* since the last reset */
    uint64_t random; /* state of the generator; seeded by backoff_init */
};

void backoff_init(struct backoff *b, int64_t initial_us, int64_t max_us);
int64_t backoff_next(struct backoff *b); /* how long to wait now, in microseconds */
void backoff_reset(struct backoff *b);   /* after a success */
