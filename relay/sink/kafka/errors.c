/*
 * The rules for librdkafka's error codes: is it the fault of the message, of the configuration, or
 * of the world outside, and what can people do?
 */
#include "sink/kafka/errors.h"

#include <stdio.h>

static const struct rule {
    rd_kafka_resp_err_t code;
    enum kafka_scope scope;
    enum error_class class;
    int exit_code;
    const char *remedy;
} rules[] = {
    /* A batch fails as a whole, so the message may not be the one at fault: the pipeline tries its
     * events one by one. */
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, KAFKA_EVENT, ERROR_POISON, EXIT_CODE_GAVE_UP,
     "raise the topic's max.message.bytes (and message.max.bytes in properties) if it should pass; "
     "lower "
     "batch.size in properties if only whole batches are too large"},
    {RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, KAFKA_EVENT, ERROR_POISON, EXIT_CODE_GAVE_UP,
     "raise the topic's max.message.bytes if it should pass"},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, KAFKA_EVENT, ERROR_POISON, EXIT_CODE_GAVE_UP,
     "raise the topic's segment.bytes, or lower batch.size in properties"},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, KAFKA_EVENT, ERROR_POISON, EXIT_CODE_GAVE_UP,
     "a compacted topic takes no message without a key; see the broker's log for its own checks"},
    {RD_KAFKA_RESP_ERR_INVALID_MSG, KAFKA_EVENT, ERROR_POISON, EXIT_CODE_GAVE_UP,
     "a compacted topic takes no message without a key; see the broker's log"},
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, KAFKA_EVENT, ERROR_POISON, EXIT_CODE_GAVE_UP,
     "set route.timestamp to now, or the topic's message.timestamp limits wider"},
    {RD_KAFKA_RESP_ERR__INVALID_ARG, KAFKA_EVENT, ERROR_POISON, EXIT_CODE_GAVE_UP,
     "librdkafka takes no such topic, partition or header"},

    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, KAFKA_SINK, ERROR_CONFIG, EXIT_CODE_CONFIG,
     "create the topic (kafka-topics.sh --create), let the broker create it, or correct "
     "route.topic"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, KAFKA_SINK, ERROR_CONFIG, EXIT_CODE_CONFIG,
     "create the topic (kafka-topics.sh --create), let the broker create it, or correct "
     "route.topic"},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, KAFKA_SINK, ERROR_CONFIG, EXIT_CODE_CONFIG,
     "the broker takes no such topic name; correct route.topic"},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, KAFKA_SINK, ERROR_CONFIG, EXIT_CODE_PERMISSION,
     "grant the relay's user WRITE and DESCRIBE on the topic (kafka-acls.sh --producer)"},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, KAFKA_SINK, ERROR_CONFIG, EXIT_CODE_PERMISSION,
     "grant the relay's user IDEMPOTENT_WRITE on the cluster (brokers before 2.8), or WRITE on a "
     "topic"},
    {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, KAFKA_SINK, ERROR_CONFIG, EXIT_CODE_CONFIG,
     "the broker's policy forbids it; ask its administrator"},
    {RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, KAFKA_SINK, ERROR_CONFIG, EXIT_CODE_CONFIG,
     "the idempotent producer needs brokers of version 0.11 or later"},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, KAFKA_SINK, ERROR_CONFIG, EXIT_CODE_CONFIG,
     "set the topic's message.format.version to 0.11 or later"},

    /* Fatal for this producer only; a new one has a new producer id. */
    {RD_KAFKA_RESP_ERR__FATAL, KAFKA_SINK, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "a new producer is needed"},
    {RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE, KAFKA_SINK, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "a new producer is needed"},
    {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, KAFKA_SINK, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "a new producer is needed"},
    {RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER, KAFKA_SINK, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "a new producer is needed"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, KAFKA_SINK, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "a new producer is needed"},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, KAFKA_SINK, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "a new producer is needed"},
    {RD_KAFKA_RESP_ERR_PRODUCER_FENCED, KAFKA_SINK, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "a new producer is needed"},
    {RD_KAFKA_RESP_ERR__FENCED, KAFKA_SINK, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "a new producer is needed"},

    /* Of transactions. */
    {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KAFKA_SINK, ERROR_CONFIG,
     EXIT_CODE_PERMISSION,
     "grant the relay's user WRITE and DESCRIBE on the transactional id (kafka-acls.sh "
     "--transactional-id)"},
    {RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, KAFKA_SINK, ERROR_CONFIG, EXIT_CODE_CONFIG,
     "lower sink.transaction_timeout, or raise the broker's transaction.max.timeout.ms"},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, KAFKA_SINK, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "a new producer is needed"},
    {RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, KAFKA_SINK, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "a new producer is needed"},
    {RD_KAFKA_RESP_ERR_TRANSACTION_COORDINATOR_FENCED, KAFKA_SINK, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "a new producer is needed"},
    {RD_KAFKA_RESP_ERR__STATE, KAFKA_SINK, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "a new producer is needed"},

    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, KAFKA_EVENT, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "the topic was deleted or has fewer partitions than before; sent again with a new producer"},

    {RD_KAFKA_RESP_ERR__PURGE_QUEUE, KAFKA_AFTERMATH, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "the messages are sent again"},
    {RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, KAFKA_AFTERMATH, ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "the messages are sent again"},
};

/* Any other code is trouble outside: the messages are sent again with a new producer. */
static const struct rule other = {RD_KAFKA_RESP_ERR_UNKNOWN, KAFKA_EVENT, ERROR_RETRY,
                                  EXIT_CODE_GAVE_UP, "sent again with a new producer"};

/* Only a partition number that the event gave can be wrong. One that librdkafka chose is gone
 * because the topic was deleted, or was made again with fewer partitions. */
static const struct rule no_such_partition = {
    RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, KAFKA_EVENT, ERROR_POISON, EXIT_CODE_GAVE_UP,
    "the topic has no partition of the number that route.partition gives"};

static const struct rule *rule_of(rd_kafka_resp_err_t code)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].code == code) {
            return &rules[i];
        }
    }
    return &other;
}

enum kafka_scope kafka_scope_of(rd_kafka_resp_err_t code)
{
    return rule_of(code)->scope;
}

bool kafka_is_security(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL ||
           code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
}

bool kafka_is_fenced(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

int kafka_error(struct error *err, rd_kafka_resp_err_t code, bool addressed, const char *topic,
                const char *detail)
{
    const struct rule *r =
        addressed && code == no_such_partition.code ? &no_such_partition : rule_of(code);
    char about[300] = "kafka";
    if (topic) {
        snprintf(about, sizeof about, "topic %s", topic);
    }
    error_exit(err, r->class, r->exit_code, "kafka", "%s: %.600s; %s", about,
               detail && *detail ? detail : rd_kafka_err2str(code), r->remedy);
    return error_code(err, rd_kafka_err2name(code));
}
