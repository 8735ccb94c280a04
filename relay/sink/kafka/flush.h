/*
 * No lingering once there is nothing more to batch with. librdkafka's linger.ms is one number for a
 * producer's life, and messages wait for it even when no other is coming; only while rd_kafka_flush
 * runs do they not (librdkafka's INTRODUCTION.md, "Flush"). It blocks, so it runs on a helper
 * thread. All calls by the pipeline's thread.
 */
#pragma once

#include "base/poll_set.h"
#include "base/worker.h"
#include <librdkafka/rdkafka.h>

struct kafka_hurry {
    struct worker *worker; /* made when first needed */
    bool wanted;           /* a flush waits for the last one, or for its acknowledgement */
    size_t unanswered;     /* reports still due of as many messages as the last flush found ... */
    int64_t flushed_at_us; /* ... at this monotonic time */
    unsigned flushes;      /* how many there were */
};

/* For a new producer: nothing is under way. */
void kafka_hurry_reset(struct kafka_hurry *h);

/* What rk holds, `open` messages that are not acknowledged, goes out now or, by a later
 * kafka_hurry_on, when what was flushed before is acknowledged: requests of one event each would
 * only queue at the broker, and while five of a partition are unanswered librdkafka waits without
 * sleeping to send the sixth that is due. Without a thread it lingers as configured. */
void kafka_hurry(struct kafka_hurry *h, rd_kafka_t *rk, size_t open);

/* One message's report has come in; and, each round, a flush that had to wait goes on. */
void kafka_hurry_reported(struct kafka_hurry *h);
void kafka_hurry_on(struct kafka_hurry *h, rd_kafka_t *rk, size_t open);

/* The end of the flush that another one waits for. */
void kafka_hurry_poll_fds(const struct kafka_hurry *h, struct poll_set *set);

/* True when no flush refers to the producer any more; one lasts some milliseconds. */
bool kafka_hurry_over(struct kafka_hurry *h);

void kafka_hurry_free(struct kafka_hurry *h);
