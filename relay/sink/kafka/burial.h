/*
 * Where old producers go: rd_kafka_destroy joins threads that may hang in a name look-up or a dead
 * connection, so it runs on a helper thread. At most two at a time, which bounds threads and memory
 * however bad the network is.
 */
#pragma once

#include "base/error.h"
#include "base/poll_set.h"
#include <librdkafka/rdkafka.h>

enum { KAFKA_GRAVES = 2 };

struct worker;

struct kafka_graves {
    struct worker *workers[KAFKA_GRAVES]; /* NULL: free */
};

/* Hands `rk` over, whose messages, queues and topic handles are all gone. AGAIN: both places are
 * taken. */
int kafka_graves_bury(struct kafka_graves *g, rd_kafka_t *rk, struct error *err) MUST_CHECK;

void kafka_graves_poll_fds(struct kafka_graves *g, struct poll_set *set);

/* Waits at most `wait_us` for those still at it; false if one had to be left behind (it ends by
 * itself). */
bool kafka_graves_close(struct kafka_graves *g, int64_t wait_us);
