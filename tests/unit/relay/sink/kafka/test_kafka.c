/* The Kafka sink against librdkafka's mock cluster: what is reported delivered can be read back,
 * and nothing else is. */
#include "base/worker.h"
#include "contract/sink.h"
#include "sink/kafka/conf.h"
#include "sink/kafka/errors.h"
#include "sink/kafka/internal.h"
#include "sink/kafka/limits.h"
#include "sink/kafka/topics.h"
#include "sink/kit/unacked.h"

#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

extern const struct sink_ops sink_kafka;

enum { API_PRODUCE = 0, API_INIT_PRODUCER_ID = 22, PATIENCE_S = 180 };

/* Made once: destroying a mock cluster takes a second. Every test has topics of its own. */
struct mock {
    rd_kafka_t *host; /* the cluster lives in it */
    rd_kafka_mock_cluster_t *cluster;
};
struct world {
    struct mock mock, grown; /* grown: the same topic with more partitions */
};

struct rig {
    rd_kafka_mock_cluster_t *cluster;
    struct kafka_conf conf;
    struct conf_pair pairs[4];
    struct sink_env env;
    void *sink;
    size_t max_event;
    struct batch *batch;
    struct sink_report report;
    struct error err;
    char notes[8192];
};

static void keep_note(void *ctx, int level, const char *text)
{
    struct rig *r = ctx;
    size_t used = strlen(r->notes);
    (void)level;
    snprintf(r->notes + used, sizeof r->notes - used, "%s\n", text);
}

static void mock_open(struct mock *m)
{
    char text[256];
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    rd_kafka_conf_set(c, "log_level", "0", text, sizeof text);
    m->host = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof text);
    assert_non_null(m->host);
    m->cluster = rd_kafka_mock_cluster_new(m->host, 1);
    assert_non_null(m->cluster);
}

static void *mock_close(void *arg)
{
    struct mock *m = arg;
    rd_kafka_mock_cluster_destroy(m->cluster);
    rd_kafka_destroy(m->host);
    return NULL;
}

static int world_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    mock_open(&w->mock);
    mock_open(&w->grown);
    *state = w;
    return 0;
}

static int world_down(void **state)
{
    struct world *w = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, mock_close, &w->grown), 0);
    mock_close(&w->mock);
    pthread_join(thread, NULL);
    free(w);
    return 0;
}

static struct rig *rig_new(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    r->cluster = ((struct world *)*state)->mock.cluster;
    r->conf.brokers = (char *)(uintptr_t)rd_kafka_mock_cluster_bootstraps(r->cluster);
    r->conf.stall_timeout_us = 60 * US_PER_SECOND;
    r->conf.properties.pairs = r->pairs;
    r->env = (struct sink_env){.pipeline = "orders",
                               .max_in_flight = 10000,
                               .max_in_flight_bytes = 16 << 20,
                               .stop_fd = -1,
                               .note = keep_note,
                               .note_ctx = r};
    r->batch = batch_new();
    return r;
}

static void property(struct rig *r, const char *name, const char *value)
{
    assert_true(r->conf.properties.count < sizeof r->pairs / sizeof *r->pairs);
    r->pairs[r->conf.properties.count++] =
        (struct conf_pair){(char *)(uintptr_t)name, (char *)(uintptr_t)value};
}

static int rig_open(struct rig *r)
{
    return sink_kafka.open(&r->conf, &r->env, &r->sink, &r->max_event, &r->err);
}

static void wait_some(struct rig *r)
{
    struct poll_set set;
    poll_set_clear(&set);
    sink_kafka.poll_fds(r->sink, &set);
    poll_set_deadline(&set, clock_mono_us() + 200 * US_PER_MS);
    poll_set_wait(&set);
}

static void rig_start(struct rig *r)
{
    int64_t deadline = clock_mono_us() + PATIENCE_S * US_PER_SECOND;
    int rc;
    while ((rc = sink_kafka.start(r->sink, 1, &r->err)) == RESULT_AGAIN) {
        assert_true(clock_mono_us() < deadline);
        wait_some(r);
    }
    assert_int_equal(rc, RESULT_DONE);
}

static struct rig *rig_up(void **state, const char *topic, int partitions)
{
    struct rig *r = rig_new(state);
    rd_kafka_mock_topic_create(r->cluster, topic, partitions, 1);
    return r;
}

static void rig_free(struct rig *r)
{
    sink_kafka.close(r->sink);
    batch_free(r->batch);
    rd_kafka_mock_clear_request_errors(r->cluster, API_PRODUCE);
    free(r);
}

static struct event *add(struct rig *r, const char *topic, const char *key, const char *value)
{
    struct event *e = batch_add(r->batch);
    e->topic = slice_from(topic);
    e->key = slice_from(key);
    e->value = slice_from(value);
    return e;
}

/* n events of one key, values "0", "1", ... */
static void add_many(struct rig *r, const char *topic, int n)
{
    for (int i = 0; i < n; i++) {
        struct event *e = add(r, topic, "k", NULL);
        char text[16];
        int len = snprintf(text, sizeof text, "%d", i);
        e->value = arena_copy(&r->batch->arena, (struct slice){text, (size_t)len});
    }
}

static void put_all(struct rig *r, uint64_t first)
{
    size_t taken;
    assert_int_equal(sink_kafka.put(r->sink, r->batch, 0, r->batch->count, first, &taken, &r->err),
                     RESULT_DONE);
    assert_int_equal(taken, r->batch->count);
}

static int collect(struct rig *r)
{
    wait_some(r);
    r->report.count = 0;
    return sink_kafka.collect(r->sink, &r->report, &r->err);
}

/* Collects until `n` events were delivered, whose tokens all lie in [first, first + n). */
static void expect_delivered(struct rig *r, uint64_t first, size_t n)
{
    int64_t deadline = clock_mono_us() + PATIENCE_S * US_PER_SECOND;
    size_t got = 0;
    char *seen = calloc(n, 1);
    while (got < n) {
        assert_true(clock_mono_us() < deadline);
        if (collect(r) != RESULT_DONE) {
            fail_msg("collect: %s", r->err.text);
        }
        for (size_t i = 0; i < r->report.count; i++) {
            uint64_t token = r->report.results[i].token;
            assert_int_equal(r->report.results[i].outcome, SINK_DELIVERED);
            assert_true(token >= first && token < first + n);
            assert_int_equal(seen[token - first]++, 0);
            got++;
        }
        if (r->report.count == SINK_REPORT_MAX) { /* no wake-up announces the rest */
            struct poll_set set;
            poll_set_clear(&set);
            sink_kafka.poll_fds(r->sink, &set);
            assert_true(set.deadline_us <= clock_mono_us());
        }
    }
    free(seen);
}

/* Collects until something fails: the entry, or NULL when the sink failed as a whole. */
static const struct sink_result *expect_failure(struct rig *r)
{
    int64_t deadline = clock_mono_us() + PATIENCE_S * US_PER_SECOND;
    while (clock_mono_us() < deadline) {
        if (collect(r) < 0) {
            return NULL;
        }
        for (size_t i = 0; i < r->report.count; i++) {
            if (r->report.results[i].outcome != SINK_DELIVERED) {
                assert_int_equal(i, r->report.count - 1);
                r->err = r->report.error;
                return &r->report.results[i];
            }
        }
    }
    fail_msg("nothing failed");
    return NULL;
}

static rd_kafka_t *consumer_of(struct rig *r, const char *topic, int partitions)
{
    char text[256];
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    rd_kafka_conf_set(c, "bootstrap.servers", r->conf.brokers, text, sizeof text);
    rd_kafka_conf_set(c, "group.id", "reader", text, sizeof text);
    rd_kafka_conf_set(c, "fetch.wait.max.ms", "10", text, sizeof text);
    rd_kafka_conf_set(c, "fetch.error.backoff.ms", "10", text, sizeof text);
    rd_kafka_conf_set(c, "log_level", "0", text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, c, text, sizeof text);
    assert_non_null(rk);
    /* Offsets are asked for when the leader is known; if it is not, half a second later. */
    const struct rd_kafka_metadata *known;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    assert_int_equal(rd_kafka_metadata(rk, 0, handle, &known, PATIENCE_S * 1000), 0);
    rd_kafka_metadata_destroy(known);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++) {
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    assert_int_equal(rd_kafka_assign(rk, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_topic_destroy(handle);
    return rk;
}

static rd_kafka_message_t *next_message(rd_kafka_t *consumer)
{
    int64_t deadline = clock_mono_us() + PATIENCE_S * US_PER_SECOND;
    while (clock_mono_us() < deadline) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer, 100);
        if (m && !m->err) {
            return m;
        }
        if (m) {
            rd_kafka_message_destroy(m);
        }
    }
    fail_msg("no message");
    return NULL;
}

static void expect_bytes(const void *got, size_t len, const char *want)
{
    assert_int_equal(got != NULL, want != NULL);
    if (want) {
        assert_int_equal(len, strlen(want));
        assert_memory_equal(got, want, len);
    }
}

/* --- what arrives
 * ------------------------------------------------------------------------------------------ */

static void keys_values_and_headers_arrive_as_they_are(void **state)
{
    struct rig *r = rig_up(state, "t-12", 1);
    const struct header headers[] = {{SLICE_LITERAL("id"), SLICE_LITERAL("e-1")},
                                     {SLICE_LITERAL("none"), SLICE_NULL},
                                     {SLICE_LITERAL("empty"), SLICE_LITERAL("")}};
    const struct {
        const char *key, *value;
    } cases[] = {{"k", "v"}, {NULL, "no key"}, {"", "empty key"}, {"gone", NULL}, {"e", ""}};
    enum { N = sizeof cases / sizeof *cases };
    assert_int_equal(rig_open(r), 0);
    rig_start(r);
    for (size_t i = 0; i < N; i++) {
        struct event *e = add(r, "t-12", cases[i].key, cases[i].value);
        e->partition = 0; /* an order that can be compared, keys or not */
        e->timestamp_us = 1700000000123456;
        e->out_headers = headers;
        e->out_headers_count = 3;
    }
    put_all(r, 1);
    expect_delivered(r, 1, N);
    rd_kafka_t *consumer = consumer_of(r, "t-12", 1);
    for (size_t i = 0; i < N; i++) {
        rd_kafka_message_t *m = next_message(consumer);
        rd_kafka_timestamp_type_t type;
        rd_kafka_headers_t *got;
        const char *name;
        const void *value;
        size_t len;
        expect_bytes(m->key, m->key_len, cases[i].key);
        expect_bytes(m->payload, m->len, cases[i].value);
        assert_int_equal(rd_kafka_message_timestamp(m, &type), 1700000000123);
        assert_int_equal(rd_kafka_message_headers(m, &got), 0);
        for (size_t h = 0; h < 3; h++) {
            assert_int_equal(rd_kafka_header_get_all(got, h, &name, &value, &len), 0);
            assert_string_equal(name, headers[h].name.ptr);
            expect_bytes(value, len, headers[h].value.ptr);
        }
        rd_kafka_message_destroy(m);
    }
    rd_kafka_destroy(consumer);
    rig_free(r);
}

static void thousands_are_reported_once_each_and_keep_their_order(void **state)
{
    enum { N = 5000 };
    struct rig *r = rig_up(state, "t-13", 4);
    assert_int_equal(rig_open(r), 0);
    rig_start(r);
    add_many(r, "t-13", N);
    put_all(r, 7);
    expect_delivered(r, 7, N);
    rd_kafka_t *consumer = consumer_of(r, "t-13", 4);
    for (int i = 0; i < N; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        rd_kafka_message_t *m = next_message(consumer);
        expect_bytes(m->payload, m->len, text);
        rd_kafka_message_destroy(m);
    }
    rd_kafka_destroy(consumer);
    rig_free(r);
}

/* The longest linger instead of ours: whoever waits for it is seen. */
static void with_nothing_more_to_put_nothing_lingers(void **state)
{
    struct rig *r = rig_up(state, "hurried", 2);
    property(r, "linger.ms", "900000");
    assert_int_equal(rig_open(r), 0);
    assert_false(((struct kafka *)r->sink)->hurries); /* the user's own number holds */
    ((struct kafka *)r->sink)->hurries = true;
    rig_start(r);
    add_many(r, "hurried", 3);
    for (uint64_t first = 1; first < 100; first += 3) {
        int64_t deadline = clock_mono_us() + PATIENCE_S * US_PER_SECOND;
        put_all(r, first);
        for (size_t got = 0; got < 3; got += r->report.count) {
            assert_true(clock_mono_us() < deadline);
            sink_kafka.flush(
                r->sink); /* again: the first may be over before there is a connection */
            assert_int_equal(collect(r), RESULT_DONE);
        }
    }
    put_all(r, 100);
    sink_kafka.flush(r->sink);
    rig_start(r); /* the producer is not gone before its flush is */
    rig_free(r);
    r = rig_up(state, "unhurried", 1);
    assert_int_equal(rig_open(r), 0);
    assert_true(((struct kafka *)r->sink)->hurries);
    rig_free(r);
}

static void wait_until_over(struct kafka_hurry *h)
{
    while (!kafka_hurry_over(h)) {
        sched_yield();
    }
}

/* The flushes are counted, not their effect: this producer has no broker. */
static void one_flush_at_a_time_waits_for_its_acknowledgements(void **state)
{
    (void)state;
    char text[512];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    assert_non_null(rk);
    struct kafka_hurry h = {0};
    kafka_hurry(&h, rk, 3);
    assert_int_equal(h.flushes, 1);
    wait_until_over(&h);
    h.flushed_at_us = clock_mono_us() + 3600 * US_PER_SECOND; /* not so long ago that it lingers */
    kafka_hurry_reported(&h);
    kafka_hurry_reported(&h);
    kafka_hurry(&h, rk, 2);
    kafka_hurry_on(&h, rk, 2);
    assert_int_equal(h.flushes, 1);
    kafka_hurry_reported(&h);
    kafka_hurry_on(&h, rk, 1);
    kafka_hurry_on(&h, rk, 1);
    assert_int_equal(h.flushes, 2);
    wait_until_over(&h);
    h.flushed_at_us = clock_mono_us() + 3600 * US_PER_SECOND;
    kafka_hurry(&h, rk, 2);
    assert_int_equal(h.flushes, 2);
    kafka_hurry_reset(&h);
    kafka_hurry_on(&h, rk, 2);
    assert_int_equal(h.flushes, 2);
    kafka_hurry(&h, rk, 2);
    assert_int_equal(h.flushes, 3);
    struct poll_set set; /* one that finds the last one still running, and nothing unanswered */
    h.unanswered = 0;
    kafka_hurry(&h, rk, 2);
    poll_set_clear(&set);
    kafka_hurry_poll_fds(&h, &set);
    while (h.flushes == 3) {
        assert_int_equal(set.count, 1);
        poll_set_wait(&set);
        kafka_hurry_on(&h, rk, 2);
    }
    assert_int_equal(h.flushes, 4);
    kafka_hurry_free(&h);
    rd_kafka_destroy(rk);
}

static void many_topics_find_their_way(void **state)
{
    enum { N = 2 };
    struct rig *r = rig_up(state, "t0", 1);
    assert_int_equal(rig_open(r), 0);
    rig_start(r);
    const char *names[N] = {"t0", "t1"};
    for (int i = 0; i < 200; i++) {
        add(r, names[i % N], "k", "v");
    }
    put_all(r, 1);
    expect_delivered(r, 1, 200);
    for (int i = 0; i < N; i++) {
        rd_kafka_t *consumer = consumer_of(r, names[i], 1);
        for (int n = 0; n < 100; n++) {
            rd_kafka_message_destroy(next_message(consumer));
        }
        rd_kafka_destroy(consumer);
    }
    rig_free(r);
}

/* --- back-pressure and events that cannot go
 * --------------------------------------------------------------- */

static void a_full_queue_is_back_pressure(void **state)
{
    struct rig *r = rig_up(state, "t-15", 1);
    property(r, "queue.buffering.max.messages", "10");
    assert_int_equal(rig_open(r), 0);
    rd_kafka_mock_broker_set_down(r->cluster, -1);
    rig_start(r);
    add_many(r, "t-15", 30);
    size_t taken, done = 0;
    assert_int_equal(sink_kafka.put(r->sink, r->batch, 0, 30, 1, &taken, &r->err), RESULT_DONE);
    assert_int_equal(taken, 10);
    assert_int_equal(sink_kafka.put(r->sink, r->batch, 10, 30, 11, &taken, &r->err), RESULT_DONE);
    assert_int_equal(taken, 0);
    rd_kafka_mock_broker_set_up(r->cluster, -1);
    while (done < 30) {
        expect_delivered(r, done + 1, 10);
        done += 10;
        assert_int_equal(sink_kafka.put(r->sink, r->batch, done, 30, done + 1, &taken, &r->err),
                         RESULT_DONE);
        assert_int_equal(taken, done < 30 ? 10 : 0);
    }
    rig_free(r);
}

static void an_oversize_event_is_poison_and_its_neighbours_go(void **state)
{
    struct rig *r = rig_up(state, "t-16", 1);
    property(r, "message.max.bytes", "2000");
    property(r, "batch.size", "2000");
    assert_int_equal(rig_open(r), 0);
    assert_int_equal(r->max_event, 2000 - 36);
    rig_start(r);
    static char large[3000];
    memset(large, 'x', sizeof large - 1);
    add(r, "t-16", "k", "before");
    add(r, "t-16", "k", large);
    add(r, "t-16", "k", "behind");
    size_t taken;
    assert_int_equal(sink_kafka.put(r->sink, r->batch, 0, 3, 1, &taken, &r->err), RESULT_ERROR);
    assert_int_equal(taken, 1);
    assert_int_equal(r->err.class, ERROR_POISON);
    assert_non_null(strstr(r->err.text, "message.max.bytes"));
    assert_int_equal(sink_kafka.put(r->sink, r->batch, 2, 3, 2, &taken, &r->err), RESULT_DONE);
    expect_delivered(r, 1, 2);
    rig_free(r);
}

static void a_partition_that_is_not_there_is_poison(void **state)
{
    struct rig *r = rig_up(state, "t-17", 2);
    assert_int_equal(rig_open(r), 0);
    rig_start(r);
    add(r, "t-17", "k", "v")->partition = 5;
    put_all(r, 1); /* librdkafka does not know the topic yet */
    const struct sink_result *failed = expect_failure(r);
    assert_non_null(failed);
    assert_int_equal(failed->token, 1);
    assert_int_equal(failed->outcome, SINK_POISON);
    rig_free(r);
}

/* --- the broker refuses
 * ------------------------------------------------------------------------------------- */

static void what_librdkafka_can_retry_is_not_seen(void **state)
{
    struct rig *r = rig_up(state, "t-18", 1);
    property(r, "retry.backoff.ms", "10");
    assert_int_equal(rig_open(r), 0);
    rig_start(r);
    rd_kafka_mock_push_request_errors(r->cluster, API_PRODUCE, 2,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
    add_many(r, "t-18", 100);
    put_all(r, 1);
    expect_delivered(r, 1, 100);
    rig_free(r);
}

static void a_refused_batch_is_a_suspect_and_a_new_producer_goes_on(void **state)
{
    struct rig *r = rig_up(state, "t-19", 1);
    assert_int_equal(rig_open(r), 0);
    rig_start(r);
    rd_kafka_mock_push_request_errors(r->cluster, API_PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    add_many(r, "t-19", 3);
    put_all(r, 1);
    const struct sink_result *failed = expect_failure(r);
    assert_non_null(failed);
    assert_int_equal(failed->token, 1);
    assert_int_equal(failed->outcome, SINK_POISON);
    assert_int_equal(r->err.class, ERROR_POISON);
    assert_non_null(strstr(r->err.text, "topic t-19"));
    const struct kafka *k = r->sink;
    assert_string_equal(k->limits_topic, "t-19"); /* what the new producer asks for */
    assert_false(k->limits_known);
    size_t taken;
    assert_int_equal(sink_kafka.put(r->sink, r->batch, 0, 1, 4, &taken, &r->err), RESULT_ERROR);
    assert_int_equal(taken, 0);
    assert_int_equal(r->err.class, ERROR_RETRY);
    rig_start(r);
    put_all(r, 10);
    expect_delivered(r, 10, 3);
    rig_free(r);
}

static void without_permission_the_operator_must_act(void **state)
{
    struct rig *r = rig_up(state, "secret-topic", 1);
    assert_int_equal(rig_open(r), 0);
    rig_start(r);
    rd_kafka_mock_push_request_errors(r->cluster, API_PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    add(r, "secret-topic", "k", "a secret payload");
    put_all(r, 1);
    assert_null(expect_failure(r));
    assert_null(strstr(r->err.text, "a secret payload"));
    assert_int_equal(r->err.class, ERROR_CONFIG);
    assert_int_equal(r->err.exit_code, EXIT_CODE_PERMISSION);
    assert_non_null(strstr(r->err.text, "secret-topic"));
    assert_string_equal(r->err.code, "TOPIC_AUTHORIZATION_FAILED");
    assert_int_equal(collect(r), RESULT_ERROR); /* and it stays so until a new start */
    rig_free(r);
}

static void a_missing_topic_is_named(void **state)
{
    struct rig *r = rig_new(state);
    property(r, "topic.metadata.propagation.max.ms", "100");
    property(r, "topic.metadata.refresh.fast.interval.ms", "20");
    rd_kafka_mock_topic_set_error(r->cluster, "nowhere", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    assert_int_equal(rig_open(r), 0);
    rig_start(r);
    add_many(r, "nowhere", 3);
    put_all(r, 1);
    assert_null(expect_failure(r));
    assert_int_equal(r->err.class, ERROR_CONFIG);
    assert_non_null(strstr(r->err.text, "nowhere"));
    rig_free(r);
}

static void a_fatal_producer_is_replaced(void **state)
{
    struct rig *r = rig_up(state, "t-22", 1);
    assert_int_equal(rig_open(r), 0);
    rd_kafka_mock_push_request_errors(r->cluster, API_INIT_PRODUCER_ID, 1,
                                      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
    rig_start(r);
    add_many(r, "t-22", 3);
    size_t taken;
    /* The refusal comes before the events are put, or after it. */
    if (sink_kafka.put(r->sink, r->batch, 0, r->batch->count, 1, &taken, &r->err) == RESULT_DONE) {
        assert_null(expect_failure(r));
    }
    assert_int_equal(r->err.class, ERROR_CONFIG);
    assert_non_null(strstr(r->err.text, "IDEMPOTENT_WRITE"));
    rig_start(r);
    put_all(r, 10);
    expect_delivered(r, 10, 3);
    rig_free(r);
}

/* --- the broker is silent or gone
 * ---------------------------------------------------------------------------- */

static void a_silent_broker_is_noticed_and_late_reports_never_come(void **state)
{
    struct rig *r = rig_up(state, "t-23", 1);
    assert_int_equal(rig_open(r), 0);
    rig_start(r);
    add_many(r, "t-23", 5);
    put_all(r, 1);
    expect_delivered(r, 1, 5);
    kafka_window_init(&((struct kafka *)r->sink)->window, 300 * US_PER_MS); /* until a new start */
    rd_kafka_mock_broker_set_rtt(r->cluster, -1, 2000);
    int64_t before = clock_mono_us();
    put_all(r, 6);
    assert_null(expect_failure(r));
    assert_true(clock_mono_us() - before >= 300 * US_PER_MS);
    assert_int_equal(r->err.class, ERROR_RETRY);
    assert_non_null(strstr(r->err.text, "no acknowledgement"));
    rd_kafka_mock_broker_set_rtt(r->cluster, -1, 0);
    rig_start(r);
    put_all(r, 101);
    expect_delivered(r, 101, 5);
    while (clock_mono_us() < before + 2100 * US_PER_MS) { /* until the old answers would be in */
        assert_int_equal(collect(r), RESULT_DONE);
        assert_int_equal(r->report.count, 0);
    }
    rig_free(r);
}

/* A broker that enforces a quota names a time. That does not count as silence; what comes after it
 * does. */
static void a_quota_is_no_silence(void **state)
{
    struct rig *r = rig_up(state, "t-24", 1);
    assert_int_equal(rig_open(r), 0);
    struct kafka *k = r->sink;
    rig_start(r);
    add_many(r, "t-24", 5);
    put_all(r, 1);
    expect_delivered(r, 1, 5);
    r->conf.stall_timeout_us = 300 * US_PER_MS;
    kafka_window_init(&k->window, r->conf.stall_timeout_us);
    rd_kafka_mock_broker_set_rtt(r->cluster, -1, 1000);
    put_all(r, 6);
    kafka_throttled(k->rk, "b:9092", 1, 3600 * 1000, k);
    kafka_throttled(k->rk, "b:9092", 1, 0, k); /* the answer after it named none */
    assert_int_equal(sink_kafka.healthy(k, &r->err), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_BUSY);
    assert_true(r->err.retry_after_us > 3599 * US_PER_SECOND);
    assert_non_null(strstr(r->err.text, "slowed down by broker 1 (b:9092): quota, 3600000 ms"));
    expect_delivered(r, 6, 5); /* more than three times the limit later */
    put_all(r, 11);
    k->quota.until_us = clock_mono_us(); /* it is over */
    int64_t before = clock_mono_us();
    assert_null(expect_failure(r));
    assert_int_equal(r->err.class, ERROR_RETRY);
    assert_true(clock_mono_us() - before >= 300 * US_PER_MS);
    rd_kafka_mock_broker_set_rtt(r->cluster, -1, 0);
    rig_free(r);
}

static void an_outage_is_no_error_but_not_healthy(void **state)
{
    struct rig *r = rig_up(state, "t-24", 1);
    assert_int_equal(rig_open(r), 0);
    rd_kafka_mock_broker_set_down(r->cluster, -1);
    rig_start(r);
    add_many(r, "t-24", 5);
    put_all(r, 1);
    int64_t deadline = clock_mono_us() + PATIENCE_S * US_PER_SECOND;
    while (sink_kafka.healthy(r->sink, &r->err) == RESULT_DONE) {
        assert_true(clock_mono_us() < deadline);
        assert_int_equal(collect(r), RESULT_DONE);
        assert_int_equal(r->report.count, 0);
    }
    assert_int_equal(r->err.class, ERROR_RETRY);
    rig_start(r); /* a new generation takes over while nothing answers */
    put_all(r, 11);
    rd_kafka_mock_broker_set_up(r->cluster, -1);
    expect_delivered(r, 11, 5);
    assert_int_equal(sink_kafka.healthy(r->sink, &r->err), RESULT_DONE);
    rig_free(r);
}

static void restarting_over_and_over_leaves_nothing_behind(void **state)
{
    struct rig *r = rig_up(state, "t-25", 1);
    assert_int_equal(rig_open(r), 0);
    rd_kafka_mock_broker_set_rtt(r->cluster, -1, 100);
    add_many(r, "t-25", 50);
    for (uint64_t i = 0; i < 6; i++) {
        rig_start(r);
        put_all(r, 1 + i * 50);
    }
    rd_kafka_mock_broker_set_rtt(r->cluster, -1, 0);
    expect_delivered(r, 1 + 5 * 50, 50);
    rig_free(r);
}

/* The mock has no answer to the question for a topic's limits. */
static void limits_are_asked_for_until_they_are_known(void **state)
{
    struct rig *r = rig_up(state, "t-26", 1);
    r->env.fixed_topic = "t-26";
    assert_int_equal(rig_open(r), 0);
    const struct kafka *k = r->sink;
    for (int i = 0; i < 2; i++) {
        rig_start(r);
        assert_string_equal(k->limits_topic, "t-26");
        assert_false(k->limits_known);
    }
    rig_free(r);
}

/* An old producer that hangs in a name look-up. */
static void hang(void *arg)
{
    char c;
    ssize_t rc UNUSED = read(*(int *)arg, &c, 1);
}

static void an_end_that_must_wait_costs_no_cpu(void **state)
{
    struct rig *r = rig_up(state, "t-27", 1);
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(rig_open(r), 0);
    rig_start(r);
    struct kafka *k = r->sink;
    for (size_t i = 0; i < KAFKA_GRAVES; i++) {
        assert_int_equal(worker_new(&k->graves.workers[i], &r->err), 0);
        worker_submit(k->graves.workers[i], hang, &pipes[0]);
    }
    assert_int_equal(sink_kafka.start(r->sink, 1, &r->err), RESULT_AGAIN);
    assert_null(k->queue);
    static const uint64_t one = 1; /* as the producer does when it has something to say */
    assert_int_equal(write(k->wake_fd, &one, sizeof one), sizeof one);
    int64_t until = clock_mono_us() + 10 * KAFKA_TEARDOWN_LOOK_US;
    int rounds = 0;
    while (clock_mono_us() < until) {
        assert_int_equal(sink_kafka.start(r->sink, 1, &r->err), RESULT_AGAIN);
        wait_some(r);
        rounds++;
    }
    assert_true(rounds <= 20);
    close(pipes[1]); /* the look-up ends */
    rig_start(r);
    rig_free(r);
    close(pipes[0]);
}

/* --- configuration
 * -------------------------------------------------------------------------------------------- */

static void broken_promises_are_refused_by_name(void **state)
{
    static const struct {
        const char *name, *value, *fragment;
    } cases[] = {
        {"acks", "1", "`acks` must be set to `all`"},
        {"request.required.acks", "0", "`acks` must be set to `all`"},
        {"enable.idempotence", "false", "enable.idempotence"},
        {"enable.gapless.guarantee", "0", "enable.gapless.guarantee"},
        {"message.timeout.ms", "1000", "message.timeout.ms"},
        {"delivery.timeout.ms", "1000", "message.timeout.ms"},
        {"delivery.report.only.error", "true", "delivery.report.only.error"},
        {"transactional.id", "x", "transactional.id"},
        {"bootstrap.servers", "elsewhere:1", "brokers"},
        {"metadata.broker.list", "elsewhere:1", "brokers"},
        {"log.queue", "false", "log.queue"},
        {"partitioner", "random", "order; remove it from `properties`"},
        {"max.in.flight", "6", "max.in.flight"},
        {"queuing.strategy", "lifo", "queuing.strategy"},
        {"retries", "0", "retries"},
        {"group.id", "g", "group.id"},
        {"sasl.mechanisms", "OAUTHBEARER", "oidc"},
        {"lingr.ms", "5", "lingr.ms"},
        {"linger.ms", "soon", "linger.ms"},
        {"security.protocol", "SSLL", "security.protocol"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig *r = rig_new(state);
        property(r, cases[i].name, cases[i].value);
        if (rig_open(r) != RESULT_ERROR) {
            fail_msg("%s=%s was accepted", cases[i].name, cases[i].value);
        }
        assert_int_equal(r->err.class, ERROR_CONFIG);
        assert_int_equal(r->err.exit_code, EXIT_CODE_CONFIG);
        if (!strstr(r->err.text, cases[i].fragment)) {
            fail_msg("%s: %s", cases[i].name, r->err.text);
        }
        r->sink = NULL;
        rig_free(r);
    }
}

static void harmless_properties_are_taken(void **state)
{
    static const char *const cases[][2] = {
        {"acks", "-1"},
        {"acks", "all"},
        {"enable.idempotence", "1"},
        {"compression.type", "lz4"},
        {"linger.ms", "5"},
        {"message.timeout.ms", "0"},
        {"partitioner", "murmur2"},
        {"partitioner", "consistent"},
        {"partitioner", "fnv1a_random"},
        {"client.id", "x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig *r = rig_new(state);
        property(r, cases[i][0], cases[i][1]);
        if (rig_open(r) != RESULT_DONE) {
            fail_msg("%s=%s: %s", cases[i][0], cases[i][1], r->err.text);
        }
        assert_string_equal(r->notes, "");
        rig_free(r);
    }
}

static void broker_lists_are_read(void **state)
{
    static const struct {
        const char *brokers;
        int rc;
    } cases[] = {
        {"", -1},           {"h:", -1},        {"h:0", -1},      {"h:65536", -1},
        {"h:9o", -1},       {"a:1,", -1},      {":9092", -1},    {"a:1,,b:2", -1},
        {"a b:1", -1},      {"h/db", -1},      {"h", 0},         {"h:9092", 0},
        {"a:1,b:65535", 0}, {"[::1]:9092", 0}, {"SSL://h:1", 0}, {"[::1]", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig *r = rig_new(state);
        r->conf.brokers = (char *)(uintptr_t)cases[i].brokers;
        if (rig_open(r) != cases[i].rc) {
            fail_msg("brokers \"%s\": %s", cases[i].brokers, r->err.text);
        }
        if (cases[i].rc) {
            r->sink = NULL;
        }
        rig_free(r);
    }
}

static void switched_off_verification_is_said(void **state)
{
    struct rig *r = rig_new(state);
    property(r, "security.protocol", "ssl");
    property(r, "enable.ssl.certificate.verification", "false");
    property(r, "ssl.endpoint.identification.algorithm", "none");
    assert_int_equal(rig_open(r), 0);
    assert_non_null(strstr(r->notes, "enable.ssl.certificate.verification"));
    assert_non_null(strstr(r->notes, "ssl.endpoint.identification.algorithm"));
    rig_free(r);
}

/* --- parts
 * -----------------------------------------------------------------------------------------------------
 */

/* A producer of its own partitions one message. */
static void ask_for_a_partition(struct rig *r, rd_kafka_mock_cluster_t *cluster,
                                struct kafka_topics *topics, const char *topic)
{
    r->conf.brokers = (char *)(uintptr_t)rd_kafka_mock_cluster_bootstraps(cluster);
    rd_kafka_conf_t *c;
    rd_kafka_t *rk;
    assert_int_equal(kafka_conf_build(&r->conf, &r->env, &c, &r->err), 0);
    rd_kafka_conf_set_events(c, 0);
    assert_int_equal(kafka_conf_producer(c, &rk, &r->err), 0);
    bool keep;
    rd_kafka_topic_t *t = kafka_topics_get(topics, rk, slice_from(topic), &keep);
    assert_true(keep);
    rd_kafka_producev(rk, RD_KAFKA_V_RKT(t), RD_KAFKA_V_KEY("k", 1), RD_KAFKA_V_END);
    assert_int_equal(rd_kafka_flush(rk, PATIENCE_S * 1000), 0);
    kafka_topics_drop_handles(topics);
    rd_kafka_destroy(rk);
    rd_kafka_conf_destroy(c);
}

static int count_of(const char *text, const char *what)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++) {
        n++;
    }
    return n;
}

static void a_growing_topic_is_noted_once_each_time(void **state)
{
    /* The mock cannot grow a topic, but what is remembered outlives a producer: another cluster
     * with more. Going back to the first is a topic that was made anew with fewer. */
    struct rig *r = rig_up(state, "t-30", 2);
    rd_kafka_mock_cluster_t *small = r->cluster, *grown = ((struct world *)*state)->grown.cluster;
    rd_kafka_mock_topic_create(grown, "t-30", 6, 1);
    struct kafka_topics *topics = kafka_topics_new(&r->env, kafka_partitioner_of("murmur2_random"));
    const struct {
        rd_kafka_mock_cluster_t *cluster;
        int notes; /* so far */
    } rounds[] = {{small, 0}, {grown, 1}, {grown, 1}, {small, 1}, {grown, 2}};
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        ask_for_a_partition(r, rounds[i].cluster, topics, "t-30");
        assert_int_equal(count_of(r->notes, "grew from 2 to 6"), rounds[i].notes);
    }
    assert_int_equal(count_of(r->notes, "grew"), 2);
    kafka_topics_free(topics);
    rig_free(r);
}

static void only_a_given_partition_can_be_wrong(void **state)
{
    (void)state;
    struct error err;
    kafka_error(&err, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, false, "t", NULL);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_null(strstr(err.text, "route.partition"));
    kafka_error(&err, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, true, "t", NULL);
    assert_int_equal(err.class, ERROR_POISON);
    assert_non_null(strstr(err.text, "route.partition"));
    kafka_error(&err, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, true, "t", NULL);
    assert_int_equal(err.class, ERROR_CONFIG);
}

static void the_oldest_message_sets_the_deadline(void **state)
{
    (void)state;
    struct kafka_window w;
    kafka_window_init(&w, 3200);
    assert_int_equal(kafka_window_deadline(&w), DEADLINE_NEVER);
    for (uint64_t i = 0; i < 30; i++) {
        kafka_window_add(&w, 100 + i, 1000 + (int64_t)i * 50);
    }
    assert_int_equal(kafka_window_deadline(&w), 1000 + 3200 + 100);
    for (uint64_t i = 2; i < 30; i++) {
        kafka_window_done(&w, 100 + i);
    }
    kafka_window_done(&w, 100);
    kafka_window_done(&w, 999); /* unknown: nothing happens */
    assert_int_equal(kafka_window_deadline(&w), 1000 + 3200 + 100);
    kafka_window_done(&w, 101);
    assert_int_equal(kafka_window_deadline(&w), DEADLINE_NEVER);
    assert_int_equal(w.open, 0);
    for (uint64_t i = 0; i < 1000; i++) { /* far past the limit: the ring stays bounded */
        kafka_window_add(&w, 2000 + i, 5000 + (int64_t)i * 100);
    }
    assert_int_equal(kafka_window_deadline(&w), 5000 + 3200 + 100);
    for (uint64_t i = 0; i < 1000; i++) {
        kafka_window_done(&w, 2000 + i);
    }
    assert_int_equal(w.count, 0);
}

struct findings {
    int faults;
    char text[2048];
};

static void keep_finding(void *ctx, int exit_code, const char *text, const char *remedy)
{
    struct findings *f = ctx;
    size_t used = strlen(f->text);
    f->faults += exit_code != 0;
    snprintf(f->text + used, sizeof f->text - used, "%s; %s\n", text, remedy);
}

/* What is found, until it holds the fragment: a busy machine needs longer than a short wait. */
static struct findings find(struct rig *r, const rd_kafka_conf_t *c, const char *topic,
                            const char *fragment)
{
    const struct sink_env env = {.fixed_topic = topic};
    struct findings f = {0};
    for (int wait_ms = 100; !strstr(f.text, fragment); wait_ms *= 10) {
        assert_true(wait_ms <= PATIENCE_S * 1000);
        f = (struct findings){0};
        assert_int_equal(kafka_check(c, "mock", NULL, &env, wait_ms, keep_finding, &f, &r->err), 0);
    }
    return f;
}

static void check_looks_at_the_cluster(void **state)
{
    struct rig *r = rig_up(state, "here", 1);
    rd_kafka_conf_t *c;
    assert_int_equal(kafka_conf_build(&r->conf, &r->env, &c, &r->err), 0);
    assert_int_equal(find(r, c, "absent", "topic absent is not there").faults, 1);
    /* The mock answers no question for a topic's configuration: that is said, and no fault. */
    assert_int_equal(find(r, c, "here", "cannot be read").faults, 0);
    rd_kafka_conf_set(c, "bootstrap.servers", "127.0.0.1:1", NULL, 0);
    assert_int_equal(find(r, c, "here", "Connection refused").faults, 1);
    rd_kafka_conf_destroy(c);
    rig_free(r);
}

static void limits_are_compared(void **state)
{
    struct rig *r = rig_new(state);
    rd_kafka_conf_t *c;
    assert_int_equal(kafka_conf_build(&r->conf, &r->env, &c, &r->err), 0);
    struct kafka_limits limits = {.max_message_bytes = 1048588, .min_insync_replicas = 1};
    struct findings f = {0};
    kafka_limits_compare(&limits, c, "t", keep_finding, &f);
    assert_int_equal(f.faults, 0);
    limits.max_message_bytes = 500000;
    kafka_limits_compare(&limits, c, "t", keep_finding, &f);
    assert_int_equal(f.faults, 1);
    assert_non_null(strstr(f.text, "topic t takes at most 500000 bytes"));
    int64_t hours_ago = clock_wall_us() - 2 * 3600 * US_PER_SECOND;
    limits.retention_ms = 3 * 3600 * 1000;
    f = (struct findings){0};
    kafka_limits_age(&limits, "t", hours_ago, EXIT_CODE_CONFIG, keep_finding, &f);
    kafka_limits_age(&limits, "t", 0, EXIT_CODE_CONFIG, keep_finding, &f);
    assert_int_equal(f.faults, 0);
    limits.retention_ms = 3600 * 1000;
    kafka_limits_age(&limits, "t", hours_ago, EXIT_CODE_CONFIG, keep_finding, &f);
    assert_non_null(strstr(f.text, "topic t deletes what is older than 3600 s"));
    limits.before_max_ms = 60 * 1000;
    kafka_limits_age(&limits, "t", hours_ago, EXIT_CODE_CONFIG, keep_finding, &f);
    assert_non_null(strstr(f.text, "topic t refuses timestamps older than 60 s"));
    assert_int_equal(f.faults, 2);
    limits.append_time = true;
    kafka_limits_age(&limits, "t", hours_ago, EXIT_CODE_CONFIG, keep_finding, &f);
    assert_int_equal(f.faults, 2);
    rd_kafka_conf_destroy(c);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_values_and_headers_arrive_as_they_are),
        cmocka_unit_test(thousands_are_reported_once_each_and_keep_their_order),
        cmocka_unit_test(with_nothing_more_to_put_nothing_lingers),
        cmocka_unit_test(one_flush_at_a_time_waits_for_its_acknowledgements),
        cmocka_unit_test(many_topics_find_their_way),
        cmocka_unit_test(a_full_queue_is_back_pressure),
        cmocka_unit_test(an_oversize_event_is_poison_and_its_neighbours_go),
        cmocka_unit_test(a_partition_that_is_not_there_is_poison),
        cmocka_unit_test(what_librdkafka_can_retry_is_not_seen),
        cmocka_unit_test(a_refused_batch_is_a_suspect_and_a_new_producer_goes_on),
        cmocka_unit_test(without_permission_the_operator_must_act),
        cmocka_unit_test(a_missing_topic_is_named),
        cmocka_unit_test(a_fatal_producer_is_replaced),
        cmocka_unit_test(a_silent_broker_is_noticed_and_late_reports_never_come),
        cmocka_unit_test(a_quota_is_no_silence),
        cmocka_unit_test(an_outage_is_no_error_but_not_healthy),
        cmocka_unit_test(restarting_over_and_over_leaves_nothing_behind),
        cmocka_unit_test(limits_are_asked_for_until_they_are_known),
        cmocka_unit_test(an_end_that_must_wait_costs_no_cpu),
        cmocka_unit_test(broken_promises_are_refused_by_name),
        cmocka_unit_test(harmless_properties_are_taken),
        cmocka_unit_test(broker_lists_are_read),
        cmocka_unit_test(switched_off_verification_is_said),
        cmocka_unit_test(a_growing_topic_is_noted_once_each_time),
        cmocka_unit_test(only_a_given_partition_can_be_wrong),
        cmocka_unit_test(the_oldest_message_sets_the_deadline),
        cmocka_unit_test(check_looks_at_the_cluster),
        cmocka_unit_test(limits_are_compared),
    };
    return cmocka_run_group_tests(tests, world_up, world_down);
}
