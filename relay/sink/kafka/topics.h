/*
 * Topic handles of the living producer, and how many partitions each topic had when it was last
 * seen.
 *
 * librdkafka looks a topic name up in a list; a handle of our own saves this for each message. The
 * first 1000 topics keep their handles; later ones get a handle for one message at a time. What is
 * known about a topic outlives the producers, because one that is being ended may still call its
 * partitioner. The pipeline's thread calls these functions; librdkafka calls the partitioner from
 * its own threads too.
 */
#pragma once

#include "base/slice.h"
#include "contract/sink.h"
#include <librdkafka/rdkafka.h>

struct kafka_topics;

typedef int32_t kafka_partitioner(const rd_kafka_topic_t *rkt, const void *key, size_t key_len,
                                  int32_t partitions, void *rkt_opaque, void *msg_opaque);

/* The librdkafka partitioner of this configuration name; NULL for a name that is not one of those
 * that hash keys. */
kafka_partitioner *kafka_partitioner_of(const char *name);

/* A growing number of partitions is logged through env->note. `partitioner` NULL: librdkafka uses
 * its own, and growth is not noticed. The process ends if memory runs out. */
struct kafka_topics *kafka_topics_new(const struct sink_env *env, kafka_partitioner *partitioner);

/* Only after all producers that had handles are destroyed. NULL is fine. */
void kafka_topics_free(struct kafka_topics *t);

/* The handle for `name`, made if needed; NULL for a name that Kafka cannot have. *ret_keep false:
 * the caller destroys it after use. */
rd_kafka_topic_t *kafka_topics_get(struct kafka_topics *t, rd_kafka_t *rk, struct slice name,
                                   bool *ret_keep);

/* Destroys all handles, so that their producer can be destroyed. */
void kafka_topics_drop_handles(struct kafka_topics *t);
