/*
 * Keeps a handle for each topic, and logs when a topic's number of partitions grows.
 */
#include "sink/kafka/topics.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOPICS_MAX = 1000, BUCKETS = 2048, TOPIC_NAME_MAX = 249 /* Kafka's limit */ };

struct topic {
    struct topic *next; /* in its bucket */
    rd_kafka_topic_t *handle;
    const struct kafka_topics *all;
    _Atomic int32_t partitions; /* number when last seen; librdkafka's threads write it too */
    size_t name_len;
    char name[];
};

struct kafka_topics {
    const struct sink_env *env;
    kafka_partitioner *partitioner;
    struct topic *buckets[BUCKETS];
    /* The topic found last: most events go to the same topic as the one before. */
    struct topic *last;
    size_t count;
};

static const struct {
    const char *name;
    kafka_partitioner *fn;
} partitioners[] = {
    {"murmur2_random", rd_kafka_msg_partitioner_murmur2_random},
    {"murmur2", rd_kafka_msg_partitioner_murmur2},
    {"consistent_random", rd_kafka_msg_partitioner_consistent_random},
    {"consistent", rd_kafka_msg_partitioner_consistent},
    {"fnv1a_random", rd_kafka_msg_partitioner_fnv1a_random},
    {"fnv1a", rd_kafka_msg_partitioner_fnv1a},
};

kafka_partitioner *kafka_partitioner_of(const char *name)
{
    for (size_t i = 0; i < sizeof partitioners / sizeof *partitioners; i++) {
        if (strcmp(partitioners[i].name, name) == 0) {
            return partitioners[i].fn;
        }
    }
    return NULL;
}

struct kafka_topics *kafka_topics_new(const struct sink_env *env, kafka_partitioner *partitioner)
{
    struct kafka_topics *t = memory_need(calloc(1, sizeof *t));
    t->env = env;
    t->partitioner = partitioner;
    return t;
}

void kafka_topics_free(struct kafka_topics *t)
{
    if (!t) {
        return;
    }
    kafka_topics_drop_handles(t);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct topic *e = t->buckets[i], *next; e; e = next) {
            next = e->next;
            free(e);
        }
    }
    free(t);
}

static void note_growth(struct topic *topic, int32_t before, int32_t now)
{
    const struct sink_env *env = topic->all->env;
    if (!env->note) {
        return;
    }
    char text[512];
    snprintf(
        text, sizeof text,
        "partition count of topic %s grew from %d to %d: keys map to other partitions from now on, and events of one key may be read out of order across the change",
        topic->name, (int)before, (int)now);
    env->note(env->note_ctx, LOG_WARN, text);
}

/* librdkafka calls it for each message without a partition number, on our thread or its own. */
static int32_t watching_partitioner(const rd_kafka_topic_t *rkt, const void *key, size_t key_len,
                                    int32_t partitions, void *rkt_opaque, void *msg_opaque)
{
    struct topic *topic = rkt_opaque;
    int32_t seen = atomic_load_explicit(&topic->partitions, memory_order_relaxed);
    if (partitions != seen &&
        atomic_compare_exchange_strong(&topic->partitions, &seen, partitions) && seen > 0 &&
        partitions > seen) {
        note_growth(topic, seen, partitions);
    }
    return topic->all->partitioner(rkt, key, key_len, partitions, NULL, msg_opaque);
}

static rd_kafka_topic_t *make_handle(const struct kafka_topics *t, rd_kafka_t *rk,
                                     struct topic *topic)
{
    if (!t->partitioner) {
        return rd_kafka_topic_new(rk, topic->name, NULL);
    }
    rd_kafka_topic_conf_t *conf = rd_kafka_default_topic_conf_dup(rk);
    rd_kafka_topic_conf_set_opaque(conf, topic);
    rd_kafka_topic_conf_set_partitioner_cb(conf, watching_partitioner);
    return rd_kafka_topic_new(rk, topic->name, conf);
}

static uint32_t hash_of(struct slice name)
{
    uint32_t h = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < name.len; i++) {
        h = (h ^ (unsigned char)name.ptr[i]) * 16777619U;
    }
    return h;
}

static bool is_named(const struct topic *topic, struct slice name)
{
    return slice_equal((struct slice){topic->name, topic->name_len}, name);
}

static struct topic *find_or_add(struct kafka_topics *t, struct slice name)
{
    if (t->last && is_named(t->last, name)) {
        return t->last;
    }
    struct topic **bucket = &t->buckets[hash_of(name) % BUCKETS];
    for (struct topic *e = *bucket; e; e = e->next) {
        if (is_named(e, name)) {
            return t->last = e;
        }
    }
    if (t->count == TOPICS_MAX) {
        return NULL;
    }
    struct topic *e = memory_need(calloc(1, sizeof *e + name.len + 1));
    e->all = t;
    e->name_len = name.len;
    memcpy(e->name, name.ptr, name.len);
    e->next = *bucket;
    *bucket = e;
    t->count++;
    return t->last = e;
}

rd_kafka_topic_t *kafka_topics_get(struct kafka_topics *t, rd_kafka_t *rk, struct slice name,
                                   bool *ret_keep)
{
    char text[TOPIC_NAME_MAX + 1];
    if (name.len == 0 || name.len > TOPIC_NAME_MAX) {
        return NULL;
    }
    struct topic *topic = find_or_add(t, name);
    *ret_keep = topic != NULL;
    if (!topic) {
        memcpy(text, name.ptr, name.len);
        text[name.len] = '\0';
        return rd_kafka_topic_new(rk, text, NULL);
    }
    if (!topic->handle) {
        topic->handle = make_handle(t, rk, topic);
    }
    return topic->handle;
}

void kafka_topics_drop_handles(struct kafka_topics *t)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct topic *e = t->buckets[i]; e; e = e->next) {
            if (e->handle) {
                rd_kafka_topic_destroy(e->handle);
                e->handle = NULL;
            }
        }
    }
}
