/* A limit in events per second, without bursts. */
#include "pipeline/rate.h"

#include "base/clock.h"

static const double BURST_SECONDS = 0.1;

void rate_init(struct rate *r, int64_t per_second)
{
    *r = (struct rate){.per_second = per_second, .tokens = 1, .at_us = clock_mono_us()};
}

size_t rate_left(struct rate *r, int64_t now_us)
{
    if (r->per_second == 0) {
        return SIZE_MAX;
    }
    double per_us = (double)r->per_second / US_PER_SECOND;
    double most = 1 + (double)r->per_second * BURST_SECONDS;
    r->tokens += (double)(now_us - r->at_us) * per_us;
    r->tokens = r->tokens < most ? r->tokens : most;
    r->at_us = now_us;
    return r->tokens < 1 ? 0 : (size_t)r->tokens;
}

void rate_take(struct rate *r, size_t events)
{
    if (r->per_second > 0) {
        r->tokens -= (double)events;
    }
}

int64_t rate_due(const struct rate *r)
{
    if (r->per_second == 0 || r->tokens >= 1) {
        return r->at_us;
    }
    return r->at_us + 1 + (int64_t)((1 - r->tokens) * US_PER_SECOND / (double)r->per_second);
}
