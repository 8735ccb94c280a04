/*
 * The limits in a topic's own configuration. They are asked for without waiting, and the answer is
 * an event on the producer's queue. The pipeline's thread calls these functions; kafka_check waits.
 */
#pragma once

#include "contract/sink.h"
#include <librdkafka/rdkafka.h>

struct kafka_limits {
    rd_kafka_resp_err_t code; /* not NO_ERROR: the limits are not known, and `text` says why */
    char text[256];
    char topic[256]; /* whose limits they are; "" if the answer does not say */
    /* The largest batch, in bytes as the broker stores it; 0: unknown. */
    int64_t max_message_bytes;
    int64_t min_insync_replicas; /* 0 unknown */
    int64_t retention_ms;        /* 0 unknown, or for ever */
    int64_t before_max_ms;       /* how old a timestamp may be; 0 unknown, or any */
    bool append_time;            /* the broker gives messages its own time */
    bool compacted;              /* no message is deleted because of its age */
};

/* Sends the question; the answer comes on `queue` within timeout_ms (perhaps as an error). */
void kafka_limits_ask(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *topic, int timeout_ms);

/* Reads the answer, an event of type RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT. */
void kafka_limits_read(rd_kafka_event_t *ev, struct kafka_limits *ret);

/* True if the answer was that there is no such topic. */
bool kafka_limits_missing(const struct kafka_limits *l);

/* Reports a fault, with a remedy, if the topic does not exist or if messages or batches of the
 * producer may be larger than the topic takes. */
void kafka_limits_compare(const struct kafka_limits *l, const rd_kafka_conf_t *rkconf,
                          const char *topic, finding_report *report, void *ctx);

/* Reports if the topic refuses, or soon deletes, a message with the timestamp oldest_us (wall
 * clock; 0: unknown, nothing is reported). The finding has exit_code: 0 makes it a note. */
void kafka_limits_age(const struct kafka_limits *l, const char *topic, int64_t oldest_us,
                      int exit_code, finding_report *report, void *ctx);

/* For sink_ops.check: examines the real cluster with a producer of its own. position_topic: of
 * exactly_once; NULL without it. Waits at most `wait_ms`
 * for each answer, and then for the producer to end. Trouble with brokers is a finding; ERROR only
 * if no producer can be made. */
int kafka_check(const rd_kafka_conf_t *template, const char *brokers, const char *position_topic,
                const struct sink_env *env, int wait_ms, finding_report *report, void *ctx,
                struct error *err) MUST_CHECK;
