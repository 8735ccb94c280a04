/*
 * Reads the events back from the topics (sink_ops.read_back). One thread.
 */
#pragma once

#include "contract/sink.h"
#include <librdkafka/rdkafka.h>

/* Borrowed during the call. */
struct kafka_read_back {
    const rd_kafka_conf_t *template;
    const char *brokers;
    const char *position_topic; /* has no events; NULL: there is none */
    int64_t patience_us;        /* how long the brokers may be silent */
    int stop_fd;
};

int kafka_read_back(const struct kafka_read_back *from, const struct sink_reading *r,
                    struct error *err) MUST_CHECK;

/* As sink_ops.find_topic. */
int kafka_find_topic(const struct kafka_read_back *from, const char *topic,
                     struct error *err) MUST_CHECK;
