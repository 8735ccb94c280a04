/*
 * Runs rd_kafka_flush on a helper thread, so that messages do not linger when nothing more is
 * coming (flush.h).
 */
#include "sink/kafka/flush.h"

#include "base/clock.h"
#include "sink/kafka/conf.h"

/* The flush only has to wake the sending threads; it need not wait for the end. */
enum { FLUSH_MS = 2 };

static void flush(void *rk)
{
    rd_kafka_flush(rk, FLUSH_MS);
}

bool kafka_hurry_over(struct kafka_hurry *h)
{
    return !h->worker || !worker_busy(h->worker) || worker_take_end(h->worker);
}

void kafka_hurry_reset(struct kafka_hurry *h)
{
    h->wanted = false;
    h->unanswered = 0;
}

void kafka_hurry_reported(struct kafka_hurry *h)
{
    h->unanswered -= h->unanswered > 0;
}

void kafka_hurry(struct kafka_hurry *h, rd_kafka_t *rk, size_t open)
{
    h->wanted = true;
    kafka_hurry_on(h, rk, open);
}

/* True while the messages of the last flush are not acknowledged, up to the linger time: after
 * that, messages are sent by themselves. */
static bool under_way(const struct kafka_hurry *h)
{
    return h->unanswered > 0 && clock_mono_us() - h->flushed_at_us < KAFKA_LINGER_MS * US_PER_MS;
}

void kafka_hurry_on(struct kafka_hurry *h, rd_kafka_t *rk, size_t open)
{
    struct error ignored;
    if (!h->wanted || !kafka_hurry_over(h) || under_way(h)) {
        return;
    }
    h->wanted = false;
    h->unanswered = open;
    h->flushed_at_us = clock_mono_us();
    h->flushes++;
    if (h->worker || !worker_new(&h->worker, &ignored)) {
        worker_submit(h->worker, flush, rk);
    }
}

void kafka_hurry_poll_fds(const struct kafka_hurry *h, struct poll_set *set)
{
    if (h->wanted && h->worker) {
        poll_set_add(set, worker_fd(h->worker), POLLIN);
    }
}

void kafka_hurry_free(struct kafka_hurry *h)
{
    worker_free(h->worker);
    h->worker = NULL;
}
