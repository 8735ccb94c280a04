/*
 * Destroys old producers on helper threads. rd_kafka_destroy waits for threads that may hang in a
 * name look-up or on a dead connection, and must not hold up the pipeline. At most two run at a
 * time, which bounds threads and memory however bad the network is. The pipeline's thread calls
 * these functions.
 */
#pragma once

#include "base/error.h"
#include "base/poll_set.h"
#include <librdkafka/rdkafka.h>

enum { KAFKA_GRAVES = 2 };

struct worker;

struct kafka_graves {
    struct worker *workers[KAFKA_GRAVES]; /* each destroys one producer; NULL: free */
};

/* Hands over `rk`, which is destroyed. Its messages, queues and topic handles must be gone already.
 * AGAIN: both places are taken. RETRY: no thread can be had. The caller keeps `rk` in both cases.
 */
int kafka_graves_bury(struct kafka_graves *g, rd_kafka_t *rk, struct error *err) MUST_CHECK;

/* Adds the descriptors that become ready when a producer is destroyed. */
void kafka_graves_poll_fds(struct kafka_graves *g, struct poll_set *set);

/* Waits at most `wait_us` until all are destroyed. False: one did not end in time and is left
 * behind; it ends by itself or with the process. */
bool kafka_graves_close(struct kafka_graves *g, int64_t wait_us);
