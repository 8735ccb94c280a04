/*
 * How long to wait before the next try: exponential backoff with full jitter. (Exponential Backoff
 * And Jitter, AWS Architecture Blog, 2015.) It only computes; the pipeline does the waiting.
 *
 * Each wait is drawn about uniformly from 1 us up to min(max, initial * 2^tries). Then it is raised
 * to a minimum: `initial` if that is above 0 and below 1 ms, else 1 ms. Without the minimum a small
 * draw would make the pipeline try in a busy loop.
 *
 * A plain struct that the caller owns; nothing is allocated, nothing fails. One thread at a time.
 */
#pragma once

#include <stdint.h>

struct backoff {
    int64_t initial_us, max_us; /* upper bounds of the first wait and of every wait */
    unsigned tries;             /* waits drawn since the last reset */
    uint64_t random;            /* state of the generator; never 0 */
};

/* Times are in microseconds. Seeds the generator from the system. */
void backoff_init(struct backoff *b, int64_t initial_us, int64_t max_us);
/* How long to wait now, in microseconds. Each call counts as one more try. */
int64_t backoff_next(struct backoff *b);

/* After a success: the next wait is a short one again. */
void backoff_reset(struct backoff *b);
