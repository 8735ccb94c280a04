/* When a side of the pipeline may be tried again after a failure, and when its failures are over. A
 * start does not end them. They are over when the side has done something useful. */
#include "pipeline/side.h"

#include "base/log.h"
#include "pipeline/internal.h"

/* With --until-idle: how long a failure, a busy receiver, another relay's lock or a pause may last
 * without any progress before the pipeline gives up. Also for an order without a daemon. */
static const int64_t PATIENCE_US = 30 * US_PER_SECOND;

bool side_may_try(const struct side *side)
{
    return clock_mono_us() >= side->retry_at_us;
}

void side_connected(struct side *side)
{
    side->ready = side->was_up = true;
}

void side_up(struct pipeline *p, struct side *side)
{
    if (side->failures > 0) {
        log_write(LOG_INFO, p->name, "%s is back after %u failed %s",
                  side == &p->upstream ? p->parts.source->name : p->parts.sink->name,
                  side->failures, side->failures == 1 ? "try" : "tries");
    }
    side->failures = side->read_failures = 0;
    backoff_reset(&side->backoff);
    p->success_at_us = clock_mono_us();
    p->busy_from_us = 0;
}

bool nothing_for_long(const struct pipeline *p, int64_t since_us)
{
    int64_t since = since_us > p->success_at_us ? since_us : p->success_at_us;
    return clock_mono_us() - since > PATIENCE_US;
}

bool out_of_patience(const struct pipeline *p, int64_t since_us)
{
    return p->parts.until_idle && nothing_for_long(p, since_us);
}

bool pipeline_may_work(const struct pipeline *p)
{
    return p->upstream.ready && p->downstream.ready && !p->ended;
}
