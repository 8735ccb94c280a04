/*
 * Sends messages at once when there is nothing more to batch them with. librdkafka's linger.ms
 * cannot change during a producer's life, and messages wait for it even if no other message is
 * coming. Only while rd_kafka_flush runs do they not wait (librdkafka's INTRODUCTION.md, "Flush").
 * That function blocks, so it runs on a helper thread. All functions here are called by the
 * pipeline's thread and never wait, except kafka_hurry_free.
 */
#pragma once

#include "base/poll_set.h"
#include "base/worker.h"
#include <librdkafka/rdkafka.h>

struct kafka_hurry {
    struct worker *worker; /* runs the flushes; made when first needed */
    bool wanted;           /* a flush is to begin once the last one is over and acknowledged */
    /* Number of reports still to come for the messages of the last flush, ... */
    size_t unanswered;
    int64_t flushed_at_us; /* ... which began at this monotonic time */
    unsigned flushes;      /* number of flushes so far */
};

/* For a new producer: nothing is wanted or under way. */
void kafka_hurry_reset(struct kafka_hurry *h);

/* Sends what rk holds (`open`: messages not yet acknowledged). If an earlier flush is not
 * acknowledged yet, this waits, and a later kafka_hurry_on does it. Without that wait, requests of
 * one event each would only queue at the broker; and with five requests of a partition unanswered,
 * librdkafka spins without sleeping until it may send the sixth. If no thread can be had, messages
 * linger as configured. */
void kafka_hurry(struct kafka_hurry *h, rd_kafka_t *rk, size_t open);

/* `reported`: the report of one message has come. `on`, called each round: begins a flush that had
 * to wait, if it may begin now. */
void kafka_hurry_reported(struct kafka_hurry *h);
void kafka_hurry_on(struct kafka_hurry *h, rd_kafka_t *rk, size_t open);

/* Adds the descriptor that becomes ready when the running flush ends, if another one waits for
 * that. */
void kafka_hurry_poll_fds(const struct kafka_hurry *h, struct poll_set *set);

/* True when no flush uses the producer any more, so that it may be destroyed. A flush lasts some
 * milliseconds. */
bool kafka_hurry_over(struct kafka_hurry *h);

/* Waits for the flush under way and frees the thread. */
void kafka_hurry_free(struct kafka_hurry *h);
