/*
 * The configuration of the Kafka sink, and what of librdkafka's the relay's promises depend on.
 */
#pragma once

#include "config/conf_key.h"
#include "contract/sink.h"
#include <librdkafka/rdkafka.h>

struct kafka_conf {
    char *brokers;
    struct conf_map properties;
    int64_t stall_timeout_us;
};

extern const struct conf_key kafka_conf_keys[];

/* Unless `properties` say otherwise: while a backlog is sent, messages wait so long for fuller
 * batches, which costs broker and relay a third less; otherwise they do not (flush.h).
 */
#define KAFKA_LINGER_MS 5
#define KAFKA_TEXT(x) #x
#define KAFKA_TEXT_OF(x) KAFKA_TEXT(x) /* of a number that is a macro */

/* Builds what every producer is made from, and has librdkafka itself look for contradictions (which
 * reads certificate files, but talks to nobody). CONFIG for all that is wrong. The caller destroys
 * it. */
int kafka_conf_build(const struct kafka_conf *conf, const struct sink_env *env,
                     rd_kafka_conf_t **ret, struct error *err) MUST_CHECK;

/* See sink_ops. */
const char *kafka_conf_url_value(const char *url);
int kafka_conf_url_check(const char *value, struct error *err) MUST_CHECK;
bool kafka_conf_library_outdated(struct buf *out);
size_t kafka_conf_descriptors(const void *conf);

/* Lines for the log at each start: verification switched off, passwords in clear. */
void kafka_conf_note_risks(const rd_kafka_conf_t *rkconf, const struct sink_env *env);

/* The text of a property; "" where it has none. */
enum { KAFKA_VALUE_SIZE = 256 };
void kafka_conf_text(const rd_kafka_conf_t *rkconf, const char *name, char out[KAFKA_VALUE_SIZE]);
int64_t kafka_conf_number(const rd_kafka_conf_t *rkconf, const char *name);

/* Makes a producer from a copy of the template. RETRY when threads or memory are short, else
 * CONFIG. */
int kafka_conf_producer(const rd_kafka_conf_t *template, rd_kafka_t **ret,
                        struct error *err) MUST_CHECK;
