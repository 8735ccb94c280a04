/* The circuit breaker of breaker.h. A sink that is down should not get ten thousand events at every
 * retry: while the breaker is open it gets none, and then a single one as a test. */
#include "pipeline/breaker.h"

#include <assert.h>
#include <string.h>

void breaker_init(struct breaker *b, size_t window, double failure_ratio, int64_t open_for_us)
{
    memset(b, 0, sizeof *b);
    b->window = window > CONF_BREAKER_WINDOW_MAX ? CONF_BREAKER_WINDOW_MAX : window ? window : 1;
    b->failure_ratio = failure_ratio;
    b->open_for_us = open_for_us;
}

static void record(struct breaker *b, bool failed)
{
    assert(b->window > 0);
    if (b->outcomes == b->window) {
        b->failures -= b->failed[b->pos];
    } else {
        b->outcomes++;
    }
    b->failed[b->pos] = failed;
    b->failures += failed;
    b->pos = (b->pos + 1) % b->window;
}

static void forget(struct breaker *b)
{
    b->outcomes = b->failures = b->pos = 0;
}

bool breaker_allows(struct breaker *b, int64_t now_us)
{
    if (b->state == BREAKER_OPEN && now_us >= b->open_until_us) {
        b->state = BREAKER_HALF_OPEN;
    }
    return b->state != BREAKER_OPEN;
}

void breaker_success(struct breaker *b)
{
    if (b->state == BREAKER_HALF_OPEN) {
        forget(b);
        b->state = BREAKER_CLOSED;
    }
    record(b, false);
}

void breaker_failure(struct breaker *b, int64_t now_us)
{
    record(b, true);
    /* With few outcomes one failure would be a large share of them, so at least a quarter of the
     * window must be filled before the ratio counts. */
    bool enough = b->outcomes * 4 >= b->window;
    bool over = (double)b->failures >= b->failure_ratio * (double)b->outcomes;
    if (b->state == BREAKER_HALF_OPEN || (enough && over)) {
        b->state = BREAKER_OPEN;
        b->open_until_us = now_us + b->open_for_us;
    }
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {"closed", "half-open", "open"};
    return names[state];
}
