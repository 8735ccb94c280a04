/*
 * No lingering once there is nothing more to batch with. librdkafka's linger.ms is one number for a
 * producer's life, and messages wait for it even when no other is coming; only while rd_kafka_flush
 * runs do they not (librdkafka's INTRODUCTION.md, "Flush"). It blocks, so it runs on a helper
 * thread. All calls by the pipeline's thread.
 */
#pragma once

#include "base/worker.h"
#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

struct kafka_hurry {
    struct worker *worker; /* made when first needed */
    rd_kafka_t *rk;        /* of the flush that runs */
    _Atomic unsigned asked;
};

/* What rk holds goes out now. Without a thread it lingers as configured. */
void kafka_hurry(struct kafka_hurry *h, rd_kafka_t *rk);

/* True when no flush refers to the producer any more; one lasts some milliseconds. */
bool kafka_hurry_over(struct kafka_hurry *h);

void kafka_hurry_free(struct kafka_hurry *h);
