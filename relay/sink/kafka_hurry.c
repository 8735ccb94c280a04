/* What has nothing to wait for does not wait; and who asks does not either. */
#include "sink/kafka_hurry.h"

#include "base/clock.h"

/* The flush wakes the threads that send, and need not see how it ends. What is not acknowledged by
 * KAFKA_LINGER_MS lingers no longer anyhow. */
enum { FLUSH_MS = 2, LINGER_US = 5000 };

static void flush(void *arg)
{
    struct kafka_hurry *h = arg;
    unsigned asked;
    do {
        asked = atomic_load(&h->asked);
        rd_kafka_flush(h->rk, FLUSH_MS);
    } while (atomic_load(&h->asked) != asked);
}

bool kafka_hurry_over(struct kafka_hurry *h)
{
    return !h->worker || !worker_busy(h->worker) || worker_take_end(h->worker);
}

void kafka_hurry_reset(struct kafka_hurry *h)
{
    h->wanted = false;
    h->put = h->reported = h->flushed = 0;
}

void kafka_hurry(struct kafka_hurry *h, rd_kafka_t *rk)
{
    h->wanted = true;
    kafka_hurry_on(h, rk);
}

void kafka_hurry_on(struct kafka_hurry *h, rd_kafka_t *rk)
{
    struct error ignored;
    int64_t now = clock_mono_us();
    bool under_way = h->reported < h->flushed && now - h->flushed_at_us < LINGER_US;
    if (!h->wanted || under_way) {
        return;
    }
    h->wanted = false;
    h->flushed = h->put;
    h->flushed_at_us = now;
    if (!h->worker && worker_new(&h->worker, &ignored)) {
        return;
    }
    atomic_fetch_add(&h->asked, 1);
    if (kafka_hurry_over(h)) {
        h->rk = rk;
        worker_submit(h->worker, flush, h);
    }
}

void kafka_hurry_free(struct kafka_hurry *h)
{
    worker_free(h->worker);
    h->worker = NULL;
}
