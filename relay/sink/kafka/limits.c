/*
 * Reads a topic's limits and compares them with what the relay would send, so that a topic that
 * will refuse messages is found before the first event. Also has `check --connect` of the Kafka
 * sink.
 */
#include "sink/kafka/limits.h"

#include "base/clock.h"
#include "message/route.h"
#include "sink/kafka/conf.h"
#include "sink/kafka/errors.h"

#include <stdio.h>
#include <stdlib.h>

void kafka_limits_ask(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *topic, int timeout_ms)
{
    char text[256];
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
    rd_kafka_DescribeConfigs(rk, &resource, 1, options, queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
}

/* An age in milliseconds; 0 for a value that is no limit. */
static int64_t read_age(const char *value)
{
    long long ms = strtoll(value, NULL, 10);
    return ms > 0 && ms < INT64_MAX / US_PER_MS ? ms : 0;
}

static void read_entry(const char *name, const char *value, struct kafka_limits *l)
{
    if (strcmp(name, "max.message.bytes") == 0) {
        l->max_message_bytes = strtoll(value, NULL, 10);
    } else if (strcmp(name, "min.insync.replicas") == 0) {
        l->min_insync_replicas = strtoll(value, NULL, 10);
    } else if (strcmp(name, "retention.ms") == 0) {
        l->retention_ms = read_age(value);
    } else if (strcmp(name, "message.timestamp.before.max.ms") == 0 ||
               /* Its name before Kafka 3.6. */
               strcmp(name, "message.timestamp.difference.max.ms") == 0) {
        int64_t most = read_age(value);
        l->before_max_ms = l->before_max_ms == 0 || (most > 0 && most < l->before_max_ms)
                               ? most
                               : l->before_max_ms;
    } else if (strcmp(name, "message.timestamp.type") == 0) {
        l->append_time = strcmp(value, "LogAppendTime") == 0;
    } else if (strcmp(name, "cleanup.policy") == 0) {
        l->compacted = strstr(value, "delete") == NULL;
    }
}

static void read_entries(const rd_kafka_ConfigResource_t *resource, struct kafka_limits *l)
{
    size_t n;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &n);
    for (size_t i = 0; i < n; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]);
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (value) {
            read_entry(name, value, l);
        }
    }
}

void kafka_limits_read(rd_kafka_event_t *ev, struct kafka_limits *ret)
{
    *ret = (struct kafka_limits){.code = rd_kafka_event_error(ev)};
    const char *text = rd_kafka_event_error_string(ev);
    if (!ret->code) {
        size_t n;
        const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(ev), &n);
        if (n == 0) {
            ret->code = RD_KAFKA_RESP_ERR_UNKNOWN;
        } else {
            ret->code = rd_kafka_ConfigResource_error(resources[0]);
            text = rd_kafka_ConfigResource_error_string(resources[0]);
            snprintf(ret->topic, sizeof ret->topic, "%s",
                     rd_kafka_ConfigResource_name(resources[0]));
            read_entries(resources[0], ret);
        }
    }
    if (ret->code) {
        snprintf(ret->text, sizeof ret->text, "%s", text ? text : rd_kafka_err2str(ret->code));
    }
}

static bool is_missing(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
}

bool kafka_limits_missing(const struct kafka_limits *l)
{
    return is_missing(l->code);
}

void kafka_limits_compare(const struct kafka_limits *l, const rd_kafka_conf_t *rkconf,
                          const char *topic, finding_report *report, void *ctx)
{
    char text[512];
    int64_t client = kafka_conf_number(rkconf, "message.max.bytes");
    int64_t batch = kafka_conf_number(rkconf, "batch.size");
    int64_t topic_max = l->max_message_bytes;
    if (is_missing(l->code)) {
        snprintf(text, sizeof text, "topic %s is not there: %s", topic, l->text);
        report(ctx, EXIT_CODE_CONFIG, text,
               "create it (kafka-topics.sh --create), or let the broker create it, or correct "
               "route.topic");
    } else if (topic_max > 0 && client > topic_max) {
        snprintf(
            text, sizeof text,
            "topic %s takes at most %lld bytes (max.message.bytes) and the producer sends up to %lld (message.max.bytes): a larger event becomes poison",
            topic, (long long)topic_max, (long long)client);
        report(
            ctx, EXIT_CODE_CONFIG, text,
            "raise the topic's max.message.bytes, or lower message.max.bytes and batch.size in `properties`");
    } else if (topic_max > 0 && batch > topic_max) {
        snprintf(
            text, sizeof text,
            "topic %s takes batches of at most %lld bytes (max.message.bytes) and batch.size is %lld",
            topic, (long long)topic_max, (long long)batch);
        report(ctx, EXIT_CODE_CONFIG, text,
               "lower batch.size in `properties`, or raise the topic's max.message.bytes");
    }
}

/* Copies the error that says most, out of those that librdkafka reported while it tried to connect.
 */
static void drain_errors(rd_kafka_queue_t *queue, char *text, size_t size)
{
    bool security = false;
    for (rd_kafka_event_t *ev; (ev = rd_kafka_queue_poll(queue, 0)); rd_kafka_event_destroy(ev)) {
        if (rd_kafka_event_type(ev) != RD_KAFKA_EVENT_ERROR || security) {
            continue;
        }
        rd_kafka_resp_err_t code = rd_kafka_event_error(ev);
        security = kafka_is_security(code);
        if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
            snprintf(text, size, "%s", rd_kafka_event_error_string(ev));
        }
    }
}

void kafka_limits_age(const struct kafka_limits *l, const char *topic, int64_t oldest_us,
                      int exit_code, finding_report *report, void *ctx)
{
    static const char remedy[] =
        "route.timestamp: now (messages get the time at which they are sent), or raise the topic's"
        " limit";
    char text[512];
    int64_t age_ms = (clock_wall_us() - oldest_us) / US_PER_MS;
    if (oldest_us == 0 || l->append_time) {
        return;
    }
    if (l->before_max_ms > 0 && age_ms > l->before_max_ms) {
        snprintf(
            text, sizeof text,
            "the oldest event that waits is %lld s old, and topic %s refuses timestamps older than %lld s (message.timestamp.before.max.ms)",
            (long long)(age_ms / 1000), topic, (long long)(l->before_max_ms / 1000));
    } else if (l->retention_ms > 0 && !l->compacted && age_ms > l->retention_ms) {
        snprintf(
            text, sizeof text,
            "the oldest event that waits is %lld s old, and topic %s deletes what is older than %lld s (retention.ms): it may be gone before anybody reads it",
            (long long)(age_ms / 1000), topic, (long long)(l->retention_ms / 1000));
    } else {
        return;
    }
    report(ctx, exit_code, text, remedy);
}

/* One run of `check --connect`. */
struct check {
    rd_kafka_t *rk; /* a producer of its own */
    rd_kafka_queue_t *queue;
    const rd_kafka_conf_t *conf;
    const struct sink_env *env;
    const struct rd_kafka_metadata *cluster; /* all topics */
    int wait_ms;                             /* for each answer */
    finding_report *report;
    void *ctx;
};

static struct kafka_limits wait_limits(const struct check *c, const char *topic)
{
    struct kafka_limits limits = {.code = RD_KAFKA_RESP_ERR__TIMED_OUT,
                                  .text = "no answer in time"};
    int64_t deadline = clock_mono_us() + (c->wait_ms + 500) * US_PER_MS;
    kafka_limits_ask(c->rk, c->queue, topic, c->wait_ms);
    for (bool answered = false; !answered && clock_mono_us() < deadline;) {
        rd_kafka_event_t *ev = rd_kafka_queue_poll(c->queue, 100);
        answered = rd_kafka_event_type(ev) == RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT;
        if (answered) {
            kafka_limits_read(ev, &limits);
        }
        if (ev) {
            rd_kafka_event_destroy(ev);
        }
    }
    return limits;
}

static void check_limits(const struct check *c, const char *topic, int replicas)
{
    char text[512];
    struct kafka_limits limits = wait_limits(c, topic);
    kafka_limits_compare(&limits, c->conf, topic, c->report, c->ctx);
    kafka_limits_age(&limits, topic, c->env->oldest_us, EXIT_CODE_CONFIG, c->report, c->ctx);
    if (limits.code && !is_missing(limits.code)) {
        snprintf(
            text, sizeof text,
            "the configuration of topic %s cannot be read, so its limits were not compared: %s",
            topic, limits.text);
        c->report(c->ctx, 0, text,
                  "grant the relay's user DESCRIBE_CONFIGS on the topic to have them checked");
    } else if (limits.min_insync_replicas > replicas) {
        snprintf(
            text, sizeof text,
            "topic %s wants %lld replicas in sync (min.insync.replicas) and has %d: no write can succeed",
            topic, (long long)limits.min_insync_replicas, replicas);
        c->report(c->ctx, EXIT_CODE_CONFIG, text, "lower min.insync.replicas, or add replicas");
    } else if (replicas == 1) {
        snprintf(text, sizeof text, "topic %s has one replica: what the broker loses is lost",
                 topic);
        c->report(c->ctx, 0, text,
                  "a replication factor of 3 with min.insync.replicas=2 survives a broker");
    }
}

static const rd_kafka_metadata_topic_t *find_topic(const struct rd_kafka_metadata *m,
                                                   const char *name)
{
    for (int i = 0; i < m->topic_cnt; i++) {
        if (strcmp(m->topics[i].topic, name) == 0) {
            return &m->topics[i];
        }
    }
    return NULL;
}

static void check_topic(const struct check *c, const char *topic)
{
    char text[512];
    const rd_kafka_metadata_topic_t *t = find_topic(c->cluster, topic);
    if (!t || is_missing(t->err)) {
        snprintf(text, sizeof text, "topic %s is not there, or the relay's user may not see it",
                 topic);
        c->report(
            c->ctx, EXIT_CODE_CONFIG, text,
            "create it (kafka-topics.sh --create) and grant WRITE and DESCRIBE (kafka-acls.sh "
            "--producer)");
        return;
    }
    if (t->err && t->partition_cnt == 0) {
        struct error e;
        kafka_error(&e, t->err, false, topic, NULL);
        c->report(c->ctx, e.exit_code, e.text, "see the text");
        return;
    }
    int replicas = t->partition_cnt > 0 ? t->partitions[0].replica_cnt : 0;
    for (int i = 0; i < t->partition_cnt; i++) {
        if (t->partitions[i].leader < 0) {
            snprintf(text, sizeof text, "partition %d of topic %s has no leader: its keys wait",
                     (int)t->partitions[i].id, topic);
            c->report(c->ctx, EXIT_CODE_CONFIG, text, "bring its broker back");
        }
    }
    check_limits(c, topic, replicas);
}

/* It is not known which topic the oldest event will go to, so it is compared with each topic that
 * it may go to. */
static void check_ages(const struct check *c)
{
    enum { TOPICS_MAX = 50 };
    int looked_at = 0;
    for (int i = 0; i < c->cluster->topic_cnt && looked_at < TOPICS_MAX; i++) {
        const char *topic = c->cluster->topics[i].topic;
        bool internal = strncmp(topic, "__", 2) == 0;
        if (internal || !route_may_give(c->env->route, slice_from(topic))) {
            continue;
        }
        struct kafka_limits limits = wait_limits(c, topic);
        if (limits.code == RD_KAFKA_RESP_ERR__TIMED_OUT) {
            return; /* the other answers would not come either, and each wait is long */
        }
        kafka_limits_age(&limits, topic, c->env->oldest_us, 0, c->report, c->ctx);
        looked_at++;
    }
}

/* The topic that holds the position: a start makes it if it may. */
static void check_position(const struct check *c, const char *topic)
{
    char text[512], remedy[512];
    const rd_kafka_metadata_topic_t *t = find_topic(c->cluster, topic);
    if (!t || is_missing(t->err)) {
        snprintf(text, sizeof text,
                 "position topic %s is not there; the relay makes it if its user may", topic);
        snprintf(
            remedy, sizeof remedy,
            "kafka-topics.sh --create --topic %s --partitions 1 --replication-factor 3 --config cleanup.policy=compact",
            topic);
        c->report(c->ctx, 0, text, remedy);
        return;
    }
    struct kafka_limits limits = wait_limits(c, topic);
    if (!limits.code && !limits.compacted) {
        snprintf(text, sizeof text,
                 "position topic %s is not compacted: Kafka would delete the position one day",
                 topic);
        snprintf(
            remedy, sizeof remedy,
            "kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config cleanup.policy=compact",
            topic);
        c->report(c->ctx, EXIT_CODE_CONFIG, text, remedy);
    }
}

int kafka_check(const rd_kafka_conf_t *template, const char *brokers, const char *position_topic,
                const struct sink_env *env, int wait_ms, finding_report *report, void *ctx,
                struct error *err)
{
    rd_kafka_t *rk;
    if (kafka_conf_producer(template, &rk, err) < 0) {
        return RESULT_ERROR;
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(rk);
    rd_kafka_set_log_queue(rk, queue);
    const struct rd_kafka_metadata *m;
    /* Asks for all topics, because a broker may create a topic that is asked for by name. */
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 1, NULL, &m, wait_ms);
    if (code) {
        char why[256], text[512];
        snprintf(why, sizeof why, "%s", rd_kafka_err2str(code));
        drain_errors(queue, why, sizeof why);
        snprintf(text, sizeof text, "no Kafka broker answers at %s: %s", brokers, why);
        report(
            ctx, EXIT_CODE_GAVE_UP, text,
            "check `brokers`, the network, and security.protocol, sasl.* and ssl.* in `properties`");
    } else {
        const struct check c = {rk, queue, template, env, m, wait_ms, report, ctx};
        if (env->fixed_topic) {
            check_topic(&c, env->fixed_topic);
        } else if (env->route && env->oldest_us) {
            check_ages(&c);
        }
        if (position_topic) {
            check_position(&c, position_topic);
        }
        rd_kafka_metadata_destroy(m);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return RESULT_DONE;
}
