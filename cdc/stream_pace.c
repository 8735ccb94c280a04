/* Naps while behind, of a length at which the socket is neither nearly empty nor full after them.
 */
#include "cdc/stream_pace.h"

#include "base/clock.h"

enum {
    NAP_MIN_US = 50,
    NAP_FIRST_US = 100,
    NAP_MAX_US = 200,
    LITTLE = 16 * 1024, /* after a nap: it was too short */
    MUCH = 64 * 1024,   /* too long: more, and the server waits for us */
    BUSY_PER_MS = 8 * 1024,
    WINDOW_US = 1000,
};

void stream_pace_init(struct stream_pace *p, int64_t now_us)
{
    *p = (struct stream_pace){.nap_us = NAP_FIRST_US, .since_us = now_us};
}

void stream_pace_read(struct stream_pace *p, size_t waiting, int64_t now_us)
{
    int64_t past_us = now_us - p->since_us;
    p->until_us = 0;
    p->read += waiting;
    if (past_us >= WINDOW_US) {
        p->busy = p->read / BUSY_PER_MS >= (uint64_t)past_us / 1000;
        p->since_us = now_us;
        p->read = 0;
    }
    if (p->napped) {
        p->napped = false;
        if (waiting >= MUCH) {
            p->nap_us = p->nap_us / 2 > NAP_MIN_US ? p->nap_us / 2 : NAP_MIN_US;
        } else if (waiting < LITTLE) {
            p->nap_us = p->nap_us + 10 < NAP_MAX_US ? p->nap_us + 10 : NAP_MAX_US;
        }
    }
}

bool stream_pace_nap(struct stream_pace *p, size_t waiting, bool known_backlog, int64_t now_us)
{
    p->behind = known_backlog || p->busy;
    if (!p->behind || waiting >= MUCH) {
        return false;
    }
    p->napped = true;
    p->until_us = now_us + p->nap_us;
    return true;
}

bool stream_pace_napping(const struct stream_pace *p, int64_t now_us)
{
    return now_us < p->until_us;
}
