/*
 * What a topic's own configuration says: asked without waiting, answered as an event on the
 * producer's queue.
 */
#pragma once

#include "contract/sink.h"
#include <librdkafka/rdkafka.h>

struct kafka_limits {
    rd_kafka_resp_err_t code; /* not NO_ERROR: the rest is unknown, `text` says why */
    char text[256];
    char topic[256];             /* whose they are; "" if not even that came back */
    int64_t max_message_bytes;   /* of a whole batch as it lies on the broker's disk; 0 unknown */
    int64_t min_insync_replicas; /* 0 unknown */
    int64_t retention_ms;        /* 0 unknown, or for ever */
    int64_t before_max_ms;       /* how old a timestamp may be; 0 unknown, or any */
    bool append_time;            /* the broker gives messages its own time */
    bool compacted;              /* nothing is deleted for its age */
};

void kafka_limits_ask(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *topic, int timeout_ms);

/* Reads the answer, an event of type RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT. */
void kafka_limits_read(rd_kafka_event_t *ev, struct kafka_limits *ret);

/* The answer was that there is no such topic. */
bool kafka_limits_missing(const struct kafka_limits *l);

/* Whether what the producer would send is more than what the topic takes: a text and a remedy
 * through `report`. */
void kafka_limits_compare(const struct kafka_limits *l, const rd_kafka_conf_t *rkconf,
                          const char *topic, finding_report *report, void *ctx);

/* Whether the topic refuses or soon deletes a message of that time (wall clock). It is a fault
 * where every event goes to this topic (`only`), else a note. */
void kafka_limits_age(const struct kafka_limits *l, const char *topic, int64_t oldest_us, bool only,
                      finding_report *report, void *ctx);

/* sink_ops.check: looks at the real cluster with a producer of its own; waits `wait_ms` at most for
 * each answer. */
int kafka_check(const rd_kafka_conf_t *template, const char *brokers, const struct sink_env *env,
                int wait_ms, finding_report *report, void *ctx, struct error *err);
