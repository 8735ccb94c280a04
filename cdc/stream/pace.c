/* Chooses how long a reader that is behind sleeps: long enough that the socket fills up, but not so
 * long that the server has to wait. */
#include "cdc/stream/pace.h"

#include "base/clock.h"

/* Measured over TCP with rows of half a kilobyte, in transactions of 100 rows and of one. The two
 * sockets together hold about 200 KiB of them (window.h), so a nap should gather a little less. The
 * rate that counts as a backlog is that of about 15,000 small transactions a second. It is measured
 * over WINDOW_US, so that neither a nap nor a few commits close together look like one. */
enum {
    NAP_MIN_US = 50,
    NAP_FIRST_US = 500,
    NAP_MAX_US = 10000,
    GATHER = 160 * 1024,
    WINDOW_US = 20000,
    BUSY_PER_MS = 8 * 1024,
};

void stream_pace_init(struct stream_pace *p, int64_t now_us)
{
    *p = (struct stream_pace){.nap_us = NAP_FIRST_US, .since_us = now_us};
}

void stream_pace_wake(struct stream_pace *p, int64_t now_us)
{
    int64_t past_us = now_us - p->since_us;
    p->until_us = 0;
    if (past_us >= WINDOW_US) {
        p->busy = p->taken / BUSY_PER_MS >= (uint64_t)past_us / 1000;
        p->since_us = now_us;
        p->taken = 0;
    }
}

/* The next nap: longer if this one gathered less than GATHER, shorter if more. At most half or 5/4
 * of this one, because a single nap is a poor sample. */
static void adapt(struct stream_pace *p)
{
    int64_t shortest = p->nap_us / 2, longest = p->nap_us * 5 / 4;
    int64_t us = p->nap_us * GATHER / ((int64_t)p->gathered + 1);
    us = us < shortest ? shortest : us > longest ? longest : us;
    p->nap_us = us < NAP_MIN_US ? NAP_MIN_US : us > NAP_MAX_US ? NAP_MAX_US : us;
}

bool stream_pace_nap(struct stream_pace *p, size_t waiting, bool known_backlog, int64_t now_us)
{
    bool first = !p->behind;
    p->behind = known_backlog || p->busy;
    if (!p->behind || waiting >= STREAM_PACE_READ) {
        return false;
    }
    if (!first) {
        adapt(p);
    }
    p->gathered = 0;
    p->until_us = now_us + p->nap_us;
    return true;
}

bool stream_pace_napping(const struct stream_pace *p, int64_t now_us)
{
    return now_us < p->until_us;
}

bool stream_pace_behind(const struct stream_pace *p, bool more)
{
    return p->behind && (more || p->until_us > 0);
}
