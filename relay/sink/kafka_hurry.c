/* What has nothing to wait for does not wait; and who asks does not either. */
#include "sink/kafka_hurry.h"

enum { FLUSH_MS = 50 }; /* longer than an acknowledgement usually takes; asked again if need be */

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

void kafka_hurry(struct kafka_hurry *h, rd_kafka_t *rk)
{
    struct error ignored;
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
