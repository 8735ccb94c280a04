/*
 * The settings of a Kafka consumer.
 */
#pragma once

#include "consume/from/from.h"
#include <librdkafka/rdkafka.h>

struct kafka_from_conf {
    char *brokers;
    struct conf_list topics;
    struct conf_map properties;
};

extern const struct conf_key kafka_from_keys[];

/* Makes librdkafka's configuration: what a consumer promises cannot be changed by `properties`.
 * *ret is taken over by rd_kafka_new, or freed with rd_kafka_conf_destroy. *ret_latest: the user
 * wants to begin at the end of a topic that the group has not read yet. CONFIG. */
int kafka_from_settings(const struct kafka_from_conf *conf, const struct from_env *env,
                        rd_kafka_conf_t **ret, bool *ret_latest, struct error *err) MUST_CHECK;
