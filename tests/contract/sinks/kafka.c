/* The Kafka sink, to a broker that run.py starts, read by a consumer that shares nothing with it
 * but the library. */
#include "../../unit/unit.h"

#include "../patience.h"
#include "../plugin_conf.h"
#include "../sink_fixture.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITIONS = 3 };

struct broker {
    rd_kafka_t *consumer;
    int64_t next[PARTITIONS];
    struct conf_pair pairs[2];
    char id[32], position[32]; /* exactly_once: of each case its own */
};

static void consumer_set(rd_kafka_conf_t *c, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(c, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        fail_msg("%s", why);
    }
}

static rd_kafka_t *consumer_new(const char *brokers, const char *topic)
{
    char why[256];
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    consumer_set(c, "bootstrap.servers", brokers);
    consumer_set(c, "group.id", "contract");
    consumer_set(c, "fetch.wait.max.ms", "10");
    consumer_set(c, "log_level", "0");
    consumer_set(c, "enable.partition.eof", "true");
    consumer_set(c, "isolation.level", "read_committed");
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, c, why, sizeof why);
    assert_non_null(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++) {
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = 0;
    }
    assert_int_equal(rd_kafka_assign(rk, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    return rk;
}

/* run.py has made the topics contract-1, contract-2 ...: one for each case. */
static void kafka_up(struct rig *r)
{
    static int cases;
    const char *brokers = getenv("COMMITRELAY_TEST_KAFKA");
    struct broker *b = calloc(1, sizeof *b);
    if (!brokers || !b) {
        fail_msg("COMMITRELAY_TEST_KAFKA is not set: it must name a broker for tests");
    }
    r->own = b;
    snprintf(r->where, sizeof r->where, "contract-%d", ++cases);
    snprintf(b->id, sizeof b->id, "id-%d", cases);
    snprintf(b->position, sizeof b->position, "position-%d", cases);
    r->env.fixed_topic = r->where;
    rig_conf_new(r);
    plugin_conf_text(r->ops->keys, r->conf, "brokers", brokers);
    b->consumer = consumer_new(brokers, r->where);
}

/* Events and position in one transaction; the consumer is read_committed. */
static void exactly_once_up(struct rig *r)
{
    kafka_up(r);
    struct broker *b = r->own;
    plugin_conf_bool(r->ops->keys, r->conf, "exactly_once", true);
    plugin_conf_text(r->ops->keys, r->conf, "transactional_id", b->id);
    plugin_conf_text(r->ops->keys, r->conf, "position_topic", b->position);
}

static void kafka_down(struct rig *r)
{
    struct broker *b = r->own;
    rd_kafka_destroy(b->consumer);
    free(b);
}

static bool at_end(struct rig *r, const int64_t *ends)
{
    struct broker *b = r->own;
    for (int p = 0; p < PARTITIONS; p++) {
        if (b->next[p] < ends[p]) {
            return false;
        }
    }
    return true;
}

/* A new topic's partitions take a moment to have their leader. */
static int64_t end_of(rd_kafka_t *consumer, const char *topic, int partition)
{
    int64_t low, end, until = clock_mono_us() + PATIENCE_US;
    while (rd_kafka_query_watermark_offsets(consumer, topic, partition, &low, &end, 1000)) {
        assert_true(clock_mono_us() < until);
    }
    return end;
}

/* Up to where the broker itself says its partitions end now: what a read_committed consumer may
 * see. Marks of transactions and what was aborted take offsets, too; then the end is reached when
 * the consumer says so. */
static void kafka_look(struct rig *r)
{
    struct broker *b = r->own;
    int64_t ends[PARTITIONS];
    for (int p = 0; p < PARTITIONS; p++) {
        ends[p] = end_of(b->consumer, r->where, p);
    }
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (!at_end(r, ends)) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(b->consumer, 100);
        assert_true(clock_mono_us() < until);
        if (m && m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && m->offset > b->next[m->partition]) {
            b->next[m->partition] = m->offset;
        } else if (m && !m->err) {
            char value[16];
            snprintf(value, sizeof value, "%.*s", (int)m->len, (const char *)m->payload);
            assert_true(m->offset >= b->next[m->partition]);
            b->next[m->partition] = m->offset + 1;
            rig_saw(r, atoi(value));
        }
        if (m) {
            rd_kafka_message_destroy(m);
        }
    }
}

static void properties(struct rig *r, const char *name, const char *value)
{
    struct broker *b = r->own;
    struct conf_map map = {b->pairs, 1};
    b->pairs[0] = (struct conf_pair){(char *)(uintptr_t)name, (char *)(uintptr_t)value};
    plugin_conf_map(r->ops->keys, r->conf, "properties", &map);
}

static void kafka_narrow(struct rig *r)
{
    properties(r, "queue.buffering.max.messages", "20");
}

static void too_large(struct rig *r, struct event *e)
{
    enum { BYTES = 80 << 20 };
    char *value = arena_bytes(&r->batch->arena, BYTES);
    memset(value, 'x', BYTES);
    e->value = (struct slice){value, BYTES};
}

static const struct sink_kind exactly_once = {
    .up = exactly_once_up,
    .down = kafka_down,
    .look = kafka_look,
    .narrow = kafka_narrow,
    .spoil = too_large,
    .shows_later = true,
    .commits = true,
};

const struct sink_kind sink_kind_kafka = {
    .other = &exactly_once,
    .up = kafka_up,
    .down = kafka_down,
    .look = kafka_look,
    .narrow = kafka_narrow,
    .spoil = too_large,
};
