/*
 * Topic handles of the living producer, and how many partitions each topic was last seen to have.
 *
 * librdkafka finds a topic by name in a list; a handle of our own saves that for each message. The
 * first 1000 topics are kept; later ones get a handle for one message at a time. What is remembered
 * of a topic outlives the producers, because a dying one may still ask its partitioner.
 */
#pragma once

#include "base/slice.h"
#include "contract/sink.h"
#include <librdkafka/rdkafka.h>

struct kafka_topics;

typedef int32_t kafka_partitioner(const rd_kafka_topic_t *rkt, const void *key, size_t key_len,
                                  int32_t partitions, void *rkt_opaque, void *msg_opaque);

/* A librdkafka partitioner that hashes keys, by its configuration name; NULL for any other. */
kafka_partitioner *kafka_partitioner_of(const char *name);

/* `partitioner` NULL: librdkafka's own choice, and growth goes unnoticed. Aborts when memory runs
 * out. */
struct kafka_topics *kafka_topics_new(const struct sink_env *env, kafka_partitioner *partitioner);

/* No producer that was given handles may live any more. */
void kafka_topics_free(struct kafka_topics *t);

/* The handle for `name`, or NULL for a name that Kafka cannot have. *ret_keep false: the caller
 * destroys it after use. */
rd_kafka_topic_t *kafka_topics_get(struct kafka_topics *t, rd_kafka_t *rk, struct slice name,
                                   bool *ret_keep);

/* Gives all handles back, so that their producer can be destroyed. */
void kafka_topics_drop_handles(struct kafka_topics *t);
