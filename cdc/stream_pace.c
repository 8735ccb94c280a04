/* Naps while behind, of a length at which the socket is neither nearly empty nor full after them.
 */
#include "cdc/stream_pace.h"

#include "base/clock.h"

/* Measured with 100 rows a transaction and with one, over TCP: beyond half a millisecond longer
 * naps bring nothing more, and a socket that holds much more than 128 KiB makes the server wait.
 * The rate that counts as a backlog is that of some 15,000 small transactions a second; it is taken
 * over so long that a few commits close together are none. */
enum {
    NAP_MIN_US = 50,
    NAP_FIRST_US = 150,
    NAP_STEP_US = 25,
    NAP_MAX_US = 500,
    LITTLE = 32 * 1024, /* after a nap: it was too short */
    MUCH = 128 * 1024,  /* too long */
    WINDOW_US = 4000,
    BUSY_PER_MS = 8 * 1024,
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
            p->nap_us = p->nap_us + NAP_STEP_US < NAP_MAX_US ? p->nap_us + NAP_STEP_US : NAP_MAX_US;
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
