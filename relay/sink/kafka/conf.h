/*
 * The configuration of the Kafka sink, and the librdkafka properties on which the relay's
 * guarantees depend. The pipeline's thread calls these functions; none waits for the network.
 */
#pragma once

#include "config/conf_key.h"
#include "contract/sink.h"
#include <librdkafka/rdkafka.h>

/* Filled by the configuration, which outlives the sink. stall_timeout_us: how long a message may
 * wait for its acknowledgement. What follows `exactly_once` counts only with it; "{pipeline}" in
 * the two names stands for the pipeline's name. */
struct kafka_conf {
    char *brokers;
    struct conf_map properties;
    int64_t stall_timeout_us;
    bool exactly_once;
    char *transactional_id, *position_topic;
    struct kafka_commit_conf {
        int64_t events, bytes, interval_us;
    } commit;
    int64_t transaction_timeout_us;
    bool whole_transactions;
};

extern const struct conf_key kafka_conf_keys[];

/* linger.ms, unless `properties` set it: how long messages wait for fuller batches while a backlog
 * is sent, which costs broker and relay a third less. When nothing more is coming they do not wait
 * (flush.h). */
#define KAFKA_LINGER_MS 5
#define KAFKA_TEXT(x) #x
#define KAFKA_TEXT_OF(x) KAFKA_TEXT(x) /* the number behind a macro, as text */

/* Are events and position sent in one Kafka transaction? Never by a replay: it has no position. */
static inline bool kafka_conf_commits(const struct kafka_conf *conf, const struct sink_env *env)
{
    return conf->exactly_once && !env->beside;
}

/* transactional_id or position_topic with the pipeline's name. False if `out` is too small. */
enum { KAFKA_NAME_SIZE = 250 };
bool kafka_conf_name(const char *text, const char *pipeline, char out[KAFKA_NAME_SIZE]);

/* See sink_ops.clash: one transactional id, or one position topic, in one cluster. */
bool kafka_conf_clash(const struct pipeline_of *a, const struct pipeline_of *b,
                      struct buf *ret_what);

/* Builds the template from which every producer is made, and lets librdkafka check it for
 * contradictions (this reads certificate files, but connects to nobody). CONFIG for all that is
 * wrong. The caller destroys *ret. */
int kafka_conf_build(const struct kafka_conf *conf, const struct sink_env *env,
                     rd_kafka_conf_t **ret, struct error *err) MUST_CHECK;

/* See url_form, sink_ops.library_outdated and sink_ops.descriptors. */
const char *kafka_conf_url_value(const char *url);
int kafka_conf_url_check(const char *value, struct error *err) MUST_CHECK;
bool kafka_conf_library_outdated(struct buf *out);
size_t kafka_conf_descriptors(const void *conf);

/* Logs risky settings at each start: verification switched off, passwords sent in clear. */
void kafka_conf_note_risks(const rd_kafka_conf_t *rkconf, const struct sink_env *env);

/* The value of a property as text ("" if it has none) or as a number. */
enum { KAFKA_VALUE_SIZE = 256 };
void kafka_conf_text(const rd_kafka_conf_t *rkconf, const char *name, char out[KAFKA_VALUE_SIZE]);
int64_t kafka_conf_number(const rd_kafka_conf_t *rkconf, const char *name);

/* Makes a producer from a copy of the template; the caller destroys *ret. RETRY if threads or
 * memory are short, else CONFIG. */
int kafka_conf_producer(const rd_kafka_conf_t *template, rd_kafka_t **ret,
                        struct error *err) MUST_CHECK;
