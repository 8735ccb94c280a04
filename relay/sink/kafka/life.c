/*
 * Makes and ends producers. There is one at a time. A new one is made only when nothing of the old
 * one is left: no report, no message, no reference to a payload.
 */
#include "sink/kafka/internal.h"

#include <unistd.h>

#define TEARDOWN_PATIENCE_US (30 * US_PER_SECOND) /* after this, an error says what hangs */

int kafka_life_start(struct kafka *k, struct error *err)
{
    rd_kafka_t *rk;
    if (kafka_conf_producer(k->template, &rk, err) < 0) {
        return RESULT_ERROR;
    }
    kafka_life_adopt(k, rk);
    return RESULT_DONE;
}

/* Clears the wake-up: a producer that is being ended still announces events, which nobody takes. */
static void hush(struct kafka *k)
{
    uint64_t n;
    ssize_t rc UNUSED = read(k->wake_fd, &n, sizeof n);
}

static void drop_reports(struct kafka *k)
{
    if (k->partial) {
        rd_kafka_event_destroy(k->partial);
        k->partial = NULL;
    }
    for (rd_kafka_event_t *ev; (ev = rd_kafka_queue_poll(k->queue, 0));) {
        rd_kafka_event_destroy(ev);
    }
}

/* Takes all messages back from the producer. True once it refers to no payload any more, neither in
 * its queue nor on the wire. Until then payloads must not be freed: the producer may still read
 * them. */
static bool let_go(struct kafka *k)
{
    if (!k->purged) {
        k->purged = true;
        k->purged_at_us = clock_mono_us();
        rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                  RD_KAFKA_PURGE_F_NON_BLOCKING);
    }
    drop_reports(k);
    return rd_kafka_outq_len(k->rk) == 0;
}

static int teardown_again(struct kafka *k, const char *what, struct error *err)
{
    if (clock_mono_us() - k->purged_at_us < TEARDOWN_PATIENCE_US) {
        return RESULT_AGAIN;
    }
    k->purged_at_us = clock_mono_us();
    return error_set(
        err, ERROR_RETRY, "kafka",
        "an old producer for %s cannot be ended: %s; check name resolution and the brokers, or restart the relay",
        k->conf->brokers, what);
}

int kafka_life_end(struct kafka *k, struct error *err)
{
    if (!k->rk && !kafka_txn_idle(k)) {
        return RESULT_AGAIN;
    }
    if (!k->rk) { /* an opening that has just ended has made one */
        return RESULT_DONE;
    }
    hush(k);
    if (k->queue && !let_go(k)) {
        return teardown_again(k, "it still holds messages", err);
    }
    if (!kafka_txn_idle(k)) {
        return teardown_again(k, "a call about its transaction has not come back", err);
    }
    if (!kafka_hurry_over(&k->hurry)) {
        return teardown_again(k, "it is being flushed", err);
    }
    kafka_topics_drop_handles(k->topics);
    if (k->queue) {
        rd_kafka_queue_destroy(k->queue); /* must come before its producer is destroyed */
        k->queue = NULL;
    }
    int rc = kafka_graves_bury(&k->graves, k->rk, err);
    if (rc == RESULT_AGAIN) {
        return teardown_again(k, "two before it still hang", err);
    }
    if (rc == RESULT_DONE) {
        k->rk = NULL;
        k->purged = false;
    }
    return rc;
}
