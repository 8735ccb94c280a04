/* Estimates a rate of growth, so that the status can tell in how many seconds a replication slot
 * reaches its limit, early enough to act: beyond it PostgreSQL removes the WAL that the slot
 * needs. The same serves for the delivery rate. */
#include "pipeline/growth.h"

#include "base/clock.h"

static const int64_t SPAN_US = 60 * US_PER_SECOND, ENOUGH_US = 5 * US_PER_SECOND;

void growth_note(struct growth *g, int64_t now_us, int64_t value)
{
    if (value < 0 || !g->begun) {
        *g = (struct growth){.begun = value >= 0, .at_us = now_us, .value = value};
        return;
    }
    int64_t passed_us = now_us - g->at_us;
    if (passed_us <= 0) {
        return;
    }
    /* In the first minute `rate` is the mean over all of it. Later each new stretch of time gets
     * the share passed_us / SPAN_US, and what is older counts less with every call. */
    g->span_us = g->span_us + passed_us < SPAN_US ? g->span_us + passed_us : SPAN_US;
    double now = (double)(value - g->value) * 1e6 / (double)passed_us;
    double share = passed_us < g->span_us ? (double)passed_us / (double)g->span_us : 1;
    g->rate += (now - g->rate) * share;
    g->at_us = now_us;
    g->value = value;
}

int64_t growth_until(const struct growth *g, int64_t limit)
{
    if (!g->begun || limit < 0 || g->span_us < ENOUGH_US || g->rate <= 0) {
        return -1;
    }
    double seconds = (double)(limit - g->value) / g->rate;
    return seconds <= 0 ? 0 : seconds < 1e12 ? (int64_t)seconds : -1;
}
