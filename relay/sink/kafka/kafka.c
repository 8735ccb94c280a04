/*
 * The sink kafka: sends events through librdkafka's idempotent producer. An event is delivered when
 * all in-sync replicas have it. After any failure the sink continues with a new producer only: in
 * the old one, a later message of a key could overtake the failed one. With exactly_once an event
 * is delivered when its transaction is committed (txn.h).
 */
#include "base/log.h"
#include "sink/kafka/errors.h"
#include "sink/kafka/internal.h"
#include "sink/kafka/limits.h"
#include "sink/kafka/read_back.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

_Static_assert(sizeof(uintptr_t) >= sizeof(uint64_t), "a token travels in a pointer");

enum {
    /* The least number of bytes that librdkafka adds to a value when it compares with
     * message.max.bytes. */
    MESSAGE_OVERHEAD = 36,
    CHECK_WAIT_MS = 5000,
};

/* An error older than this is over: librdkafka repeats a lasting one within 30 s. */
#define TROUBLE_LIFE_US (60 * US_PER_SECOND)
/* A broker that enforces a quota names a time with many of its answers, not with each. */
#define QUOTA_LIFE_US (3 * US_PER_SECOND)
#define CLOSE_WAIT_US (5 * US_PER_SECOND)

static void kafka_close(void *sink)
{
    struct kafka *k = sink;
    if (!k) {
        return;
    }
    struct error ignored;
    int64_t deadline = clock_mono_us() + CLOSE_WAIT_US;
    kafka_txn_stop(k);
    int rc = RESULT_AGAIN;
    while ((rc = kafka_life_end(k, &ignored)) == RESULT_AGAIN && clock_mono_us() < deadline) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_add(&set, k->wake_fd, POLLIN);
        kafka_txn_poll_fds(k, &set);
        poll_set_deadline(&set, clock_mono_us() + KAFKA_TEARDOWN_LOOK_US);
        poll_set_wait(&set);
    }
    if (!kafka_graves_close(&k->graves, deadline - clock_mono_us()) || rc) {
        /* The producer ends by itself or with the process. Its threads may still use the sink's
         * memory, so nothing is freed. */
        kafka_note(k, LOG_WARN, "a Kafka producer did not end within 5 s and is left behind");
        return;
    }
    kafka_hurry_free(&k->hurry);
    kafka_txn_free(k);
    rd_kafka_conf_destroy(k->template);
    kafka_topics_free(k->topics);
    close(k->wake_fd);
    free(k);
}

static int kafka_open(const void *conf, const struct sink_env *env, void **ret_sink,
                      size_t *ret_max_event, struct error *err)
{
    rd_kafka_conf_t *template;
    if (kafka_conf_build(conf, env, &template, err) < 0) {
        return RESULT_ERROR;
    }
    struct kafka *k = calloc(1, sizeof *k);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!k || fd < 0) {
        error_errno(err, "kafka", errno, "cannot make the wake-up descriptor of the sink");
        rd_kafka_conf_destroy(template);
        free(k);
        if (fd >= 0) {
            close(fd);
        }
        return RESULT_ERROR;
    }
    char partitioner[KAFKA_VALUE_SIZE], linger[KAFKA_VALUE_SIZE];
    kafka_conf_text(template, "partitioner", partitioner);
    kafka_conf_text(template, "linger.ms", linger);
    k->conf = conf;
    k->env = env;
    k->template = template;
    rd_kafka_conf_set_opaque(template, k);
    rd_kafka_conf_set_throttle_cb(template, kafka_throttled);
    k->wake_fd = fd;
    snprintf(k->limits_topic, sizeof k->limits_topic, "%s",
             env->fixed_topic ? env->fixed_topic : "");
    k->hurries = strcmp(linger, KAFKA_TEXT_OF(KAFKA_LINGER_MS)) == 0;
    k->topics = kafka_topics_new(env, kafka_partitioner_of(partitioner));
    if (kafka_txn_open(k, err)) {
        kafka_close(k);
        return RESULT_ERROR;
    }
    kafka_conf_note_risks(template, env);
    *ret_max_event = (size_t)kafka_conf_number(template, "message.max.bytes") - MESSAGE_OVERHEAD;
    *ret_sink = k;
    return RESULT_DONE;
}

static int kafka_start(void *sink, uint64_t next_number, struct error *err)
{
    struct kafka *k = sink;
    if (k->txn.on) {
        return kafka_txn_start(k, next_number, err);
    }
    int rc = kafka_life_end(k, err);
    return rc == RESULT_DONE ? kafka_life_start(k, err) : rc;
}

static rd_kafka_headers_t *make_headers(const struct event *e)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(e->out_headers_count);
    for (size_t i = 0; i < e->out_headers_count; i++) {
        const struct header *h = &e->out_headers[i];
        rd_kafka_header_add(headers, h->name.ptr, (ssize_t)h->name.len, h->value.ptr,
                            (ssize_t)h->value.len);
    }
    return headers;
}

/* Kafka counts milliseconds. librdkafka takes 0 for "now", so a time in the first millisecond of
 * 1970 becomes 1. */
static int64_t timestamp_ms(int64_t timestamp_us)
{
    return timestamp_us == TIME_NONE ? 0 : timestamp_us < 1000 ? 1 : timestamp_us / 1000;
}

/* The value is not copied (no F_COPY): it must stay in the batch's arena until its token completes.
 * librdkafka always copies the key. */
static rd_kafka_resp_err_t produce(struct kafka *k, const struct event *e, uint64_t token)
{
    bool keep;
    uint64_t opaque = e->partition >= 0 ? token | KAFKA_ADDRESSED : token;
    rd_kafka_topic_t *topic = kafka_topics_get(k->topics, k->rk, e->topic, &keep);
    if (!topic) {
        return RD_KAFKA_RESP_ERR__INVALID_ARG;
    }
    rd_kafka_headers_t *headers = make_headers(e);
    rd_kafka_resp_err_t code = rd_kafka_producev(
        k->rk, RD_KAFKA_V_RKT(topic),
        RD_KAFKA_V_PARTITION(e->partition >= 0 ? e->partition : RD_KAFKA_PARTITION_UA),
        RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_KEY(e->key.ptr, e->key.len),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)e->value.ptr, e->value.len),
        RD_KAFKA_V_TIMESTAMP(timestamp_ms(e->timestamp_us)), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_OPAQUE((void *)(uintptr_t)opaque), RD_KAFKA_V_END);
    if (code) {
        rd_kafka_headers_destroy(headers); /* after a success librdkafka owns them */
    }
    if (!keep) {
        rd_kafka_topic_destroy(topic);
    }
    return code;
}

/* librdkafka did not take the event. DONE: back-pressure. ERROR: POISON for this event alone, or
 * the producer has failed. */
static int refused(struct kafka *k, const struct event *e, rd_kafka_resp_err_t code,
                   struct error *err)
{
    char topic[256];
    snprintf(topic, sizeof topic, "%.*s", SLICE_FMT(e->topic));
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && k->window.open == 0 &&
        rd_kafka_outq_len(k->rk) == 0) {
        return error_set(
            err, ERROR_POISON, "kafka",
            "topic %s: an event of %zu bytes is larger than the whole queue; raise queue.buffering.max.kbytes in `properties`",
            topic, e->value.len);
    }
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        return RESULT_DONE;
    }
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        kafka_take_fatal(k);
        if (!kafka_has_failed(k)) {
            return RESULT_DONE; /* the report that says why will come */
        }
    } else if (kafka_error(err, code, e->partition >= 0, topic, NULL), err->class == ERROR_POISON) {
        return RESULT_ERROR;
    } else {
        kafka_fail(k, code, topic);
    }
    k->told = true;
    *err = k->failure;
    return RESULT_ERROR;
}

static int kafka_put(void *sink, const struct batch *batch, size_t from, size_t to,
                     uint64_t first_token, size_t *ret_taken, struct error *err)
{
    struct kafka *k = sink;
    int64_t now = clock_mono_us();
    *ret_taken = 0;
    if (!k->rk || k->purged || kafka_has_failed(k)) {
        return error_set(err, ERROR_RETRY, "kafka",
                         "the producer is done for (%s); a new one is needed",
                         kafka_has_failed(k) ? k->failure.text : "it was not started");
    }
    for (size_t i = from; i < to && (!k->txn.on || kafka_txn_has_room(k)); i++) {
        const struct event *e = &batch->events[i];
        uint64_t token = first_token + (i - from);
        rd_kafka_resp_err_t code = produce(k, e, token);
        if (code) {
            return refused(k, e, code, err);
        }
        kafka_window_add(&k->window, token, now);
        if (k->txn.on) {
            kafka_txn_added(k, e, token);
        }
        ++*ret_taken;
    }
    return RESULT_DONE;
}

static void kafka_flush(void *sink)
{
    struct kafka *k = sink;
    if (k->txn.on) {
        k->txn.hurry = k->txn.count > 0; /* the commit sends what lingers */
    } else if (k->hurries && k->rk && !k->purged && !kafka_has_failed(k)) {
        kafka_hurry(&k->hurry, k->rk, k->window.open);
    }
}

static void kafka_poll_fds(void *sink, struct poll_set *set)
{
    struct kafka *k = sink;
    poll_set_add(set, k->wake_fd, POLLIN);
    kafka_graves_poll_fds(&k->graves, set);
    kafka_txn_poll_fds(k, set);
    if (k->purged) {
        poll_set_deadline(set, clock_mono_us() + KAFKA_TEARDOWN_LOOK_US);
    } else if (k->more || (kafka_has_failed(k) && !k->told)) {
        poll_set_deadline(set, clock_mono_us());
    } else if (k->rk && !kafka_has_failed(k)) {
        kafka_hurry_poll_fds(&k->hurry, set);
        poll_set_deadline(set, kafka_stall_deadline(k));
        if (k->gapless_at_us) {
            poll_set_deadline(set, k->gapless_at_us + KAFKA_GAPLESS_WAIT_US);
        }
    }
}

static int kafka_healthy(void *sink, struct error *err)
{
    struct kafka *k = sink;
    if (kafka_has_failed(k)) {
        *err = k->failure;
        return RESULT_ERROR;
    }
    int64_t left = k->quota.until_us + QUOTA_LIFE_US - clock_mono_us();
    if (k->quota.until_us > 0 && left > 0) {
        error_set(err, ERROR_BUSY, "kafka", "slowed down by broker %s: quota, %d ms",
                  k->quota.broker, k->quota.ms);
        err->retry_after_us = left;
        return RESULT_ERROR;
    }
    if (k->trouble.code && clock_mono_us() - k->trouble.at_us < TROUBLE_LIFE_US) {
        error_set(
            err, ERROR_RETRY, "kafka", "%s: %s; %s", k->conf->brokers, k->trouble.text,
            kafka_is_security(k->trouble.code)
                ? "correct security.protocol, sasl.* and ssl.* in `properties`, or the broker's"
                : "messages wait until a broker answers");
        return error_code(err, rd_kafka_err2name(k->trouble.code));
    }
    return RESULT_DONE;
}

static unsigned caps_now(const void *sink)
{
    const struct kafka *k = sink;
    unsigned whole = k->conf->whole_transactions ? SINK_WHOLE : 0;
    return SINK_MESSAGES | (k->txn.on ? SINK_COMMITS | whole : 0);
}

static bool commit_due(void *sink, int64_t now_us)
{
    return kafka_txn_due(sink, now_us);
}

static int commit(void *sink, const struct sink_commit *c, struct error *err)
{
    return kafka_txn_commit(sink, c, err);
}

static int recover(void *sink, const struct sink_stored *stored, struct sink_recovery *ret,
                   struct error *err)
{
    return kafka_txn_recover(sink, stored, ret, err);
}

/* The position stays in its topic: the next record takes its place. */
static void recovered(void *sink)
{
    (void)sink;
}

static int check(void *sink, finding_report *report, void *ctx, struct error *err)
{
    struct kafka *k = sink;
    return kafka_check(k->template, k->conf->brokers, k->txn.on ? k->txn.topic : NULL, k->env,
                       CHECK_WAIT_MS, report, ctx, err);
}

static struct kafka_read_back topics_of(const struct kafka *k)
{
    return (struct kafka_read_back){.template = k->template,
                                    .brokers = k->conf->brokers,
                                    .position_topic = k->txn.on ? k->txn.topic : NULL,
                                    .patience_us = k->conf->stall_timeout_us,
                                    .stop_fd = k->env->stop_fd};
}

static int read_back(void *sink, const struct sink_reading *r, struct error *err)
{
    const struct kafka_read_back from = topics_of(sink);
    return kafka_read_back(&from, r, err);
}

static int find_topic(void *sink, const char *topic, struct error *err)
{
    const struct kafka_read_back from = topics_of(sink);
    return kafka_find_topic(&from, topic, err);
}

const struct sink_ops sink_kafka = {
    .name = "kafka",
    .help = "Kafka, through librdkafka's idempotent producer",
    .keys = kafka_conf_keys,
    .conf_size = sizeof(struct kafka_conf),
    .url = {.shown = "kafka://HOST:PORT[,HOST:PORT]",
            .value = kafka_conf_url_value,
            .key = "brokers",
            .check = kafka_conf_url_check},
    .library = "librdkafka",
    .library_version = rd_kafka_version_str,
    .library_outdated = kafka_conf_library_outdated,
    .descriptors = kafka_conf_descriptors,
    .caps = SINK_MESSAGES,
    .caps_now = caps_now,
    .open = kafka_open,
    .start = kafka_start,
    .poll_fds = kafka_poll_fds,
    .put = kafka_put,
    .collect = kafka_collect,
    .close = kafka_close,
    .flush = kafka_flush,
    .commit_due = commit_due,
    .commit = commit,
    .recover = recover,
    .recovered = recovered,
    .clash = kafka_conf_clash,
    .healthy = kafka_healthy,
    .read_back = read_back,
    .find_topic = find_topic,
    .check = check,
};
