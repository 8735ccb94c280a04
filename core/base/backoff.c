/* Exponential backoff with full jitter. Example: a database restarts, and twenty pipelines lose it
 * at the same moment. Each waits a random time before it connects again. If all waited equally
 * long, all would come back at the same moment, again and again. */
#include "base/backoff.h"

#include "base/clock.h"
#include <stdbool.h>
#include <sys/random.h>

static uint64_t next_random(uint64_t *state)
{
    /* xorshift64*: good enough for jitter. Its state must not be 0, or it stays 0. */
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

void backoff_init(struct backoff *b, int64_t initial_us, int64_t max_us)
{
    *b = (struct backoff){.initial_us = initial_us, .max_us = max_us};
    /* Early after boot the system may have no random numbers yet; then the clock has to do. */
    if (getrandom(&b->random, sizeof b->random, GRND_NONBLOCK) != (ssize_t)sizeof b->random ||
        b->random == 0) {
        b->random = (uint64_t)clock_mono_us() | 1;
    }
}

int64_t backoff_next(struct backoff *b)
{
    int64_t cap = b->initial_us;
    /* min(max, initial * 2^tries), computed without an overflow. */
    for (unsigned i = 0; i < b->tries && cap < b->max_us; i++) {
        cap = cap > b->max_us / 2 ? b->max_us : cap * 2;
    }
    cap = cap < b->max_us ? cap : b->max_us;
    b->tries++;
    int64_t wait = cap > 0 ? (int64_t)(next_random(&b->random) % (uint64_t)cap) + 1 : 0;
    bool quick = b->initial_us > 0 && b->initial_us < US_PER_MS;
    int64_t least = quick ? b->initial_us : US_PER_MS;
    return wait < least ? least : wait;
}

void backoff_reset(struct backoff *b)
{
    b->tries = 0;
}
