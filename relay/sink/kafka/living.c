/* A producer that was made becomes the living one. */
#include "sink/kafka/internal.h"

enum { LIMITS_WAIT_MS = 10000 };

void kafka_life_adopt(struct kafka *k, rd_kafka_t *rk)
{
    static const uint64_t one = 1;
    k->rk = rk;
    k->queue = rd_kafka_queue_get_main(rk);
    rd_kafka_set_log_queue(rk, k->queue);
    rd_kafka_queue_io_event_enable(k->queue, k->wake_fd, &one, sizeof one);
    k->purged = false;
    k->more = true; /* events may have come before the wake-up was enabled */
    k->gapless_at_us = 0;
    k->told = false;
    k->one_failed = false;
    error_clear(&k->failure);
    kafka_hurry_reset(&k->hurry);
    kafka_window_init(&k->window, k->conf->stall_timeout_us);
    if (!k->limits_known && k->limits_topic[0]) {
        kafka_limits_ask(rk, k->queue, k->limits_topic, LIMITS_WAIT_MS);
    }
}
