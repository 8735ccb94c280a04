/* exactly_once of the Kafka sink against librdkafka's mock cluster: nothing counts as delivered
 * before its transaction is committed, and the position is found again. The mock fences nobody and
 * hides no aborted record; tests/integration/exactly_once.py has a real broker for that. */
#include "unit.h"

#include "contract/sink.h"
#include "sink/kafka/conf.h"
#include "sink/kafka/position.h"

#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct sink_ops sink_kafka;

enum { API_PRODUCE = 0, API_INIT_PRODUCER_ID = 22, API_ADD_PARTITIONS = 24, API_END_TXN = 26 };
enum { PATIENCE_S = 180, KEY_SIZE = 200 };

struct mock {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *cluster;
};

static int world_up(void **state)
{
    char text[256];
    struct mock *m = calloc(1, sizeof *m);
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    rd_kafka_conf_set(c, "log_level", "0", text, sizeof text);
    m->host = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof text);
    assert_non_null(m->host);
    m->cluster = rd_kafka_mock_cluster_new(m->host, 1);
    assert_non_null(m->cluster);
    *state = m;
    return 0;
}

static int world_down(void **state)
{
    struct mock *m = *state;
    rd_kafka_mock_cluster_destroy(m->cluster);
    rd_kafka_destroy(m->host);
    free(m);
    return 0;
}

struct rig {
    rd_kafka_mock_cluster_t *cluster;
    struct kafka_conf conf;
    struct conf_pair pairs[2];
    struct sink_env env;
    struct metrics metrics;
    struct sink_stored stored;
    void *sink;
    struct batch *batch;
    struct sink_report report;
    struct sink_recovery found;
    struct error err;
    char pipeline[32], topic[32], notes[8192];
    uint64_t next_token;
};

static void keep_note(void *ctx, int level, const char *text)
{
    struct rig *r = ctx;
    size_t used = strlen(r->notes);
    (void)level;
    snprintf(r->notes + used, sizeof r->notes - used, "%s\n", text);
}

/* `name` names pipeline and topics, so that each test has its own. */
static struct rig *rig_new(void **state, const char *name)
{
    struct rig *r = calloc(1, sizeof *r);
    r->cluster = ((struct mock *)*state)->cluster;
    snprintf(r->pipeline, sizeof r->pipeline, "%s", name);
    snprintf(r->topic, sizeof r->topic, "events-%s", name);
    r->conf = (struct kafka_conf){
        .brokers = (char *)(uintptr_t)rd_kafka_mock_cluster_bootstraps(r->cluster),
        .stall_timeout_us = 60 * US_PER_SECOND,
        .exactly_once = true,
        .transactional_id = (char *)(uintptr_t) "id-{pipeline}",
        .position_topic = (char *)(uintptr_t) "position-{pipeline}",
        .commit = {10000, 16 << 20, 14 * US_PER_SECOND},
        .transaction_timeout_us = 15 * US_PER_SECOND};
    r->conf.properties.pairs = r->pairs;
    r->env = (struct sink_env){.pipeline = r->pipeline,
                               .max_in_flight = 10000,
                               .max_in_flight_bytes = 16 << 20,
                               .stop_fd = -1,
                               .metrics = &r->metrics,
                               .note = keep_note,
                               .note_ctx = r};
    r->stored.origin = "PostgreSQL cluster 7, database 5 (shop)";
    r->stored.epoch = 1;
    r->batch = batch_new();
    r->next_token = 1;
    char position[64];
    snprintf(position, sizeof position, "position-%s", name);
    rd_kafka_mock_topic_create(r->cluster, position, 1, 1);
    rd_kafka_mock_topic_create(r->cluster, r->topic, 2, 1);
    return r;
}

static void forget(struct rig *r)
{
    buf_release(&r->found.cursor);
    buf_release(&r->found.last_position);
    buf_release(&r->found.last_id);
    arena_release(&r->found.arena);
    memset(&r->found, 0, sizeof r->found);
}

static void rig_free(struct rig *r)
{
    sink_kafka.close(r->sink);
    forget(r);
    batch_free(r->batch);
    free(r);
}

static void wait_some(struct rig *r)
{
    struct poll_set set;
    poll_set_clear(&set);
    sink_kafka.poll_fds(r->sink, &set);
    poll_set_deadline(&set, clock_mono_us() + 50 * US_PER_MS);
    poll_set_wait(&set);
}

static int rig_recover(struct rig *r)
{
    int64_t deadline = clock_mono_us() + PATIENCE_S * US_PER_SECOND;
    int rc;
    forget(r);
    while ((rc = sink_kafka.recover(r->sink, &r->stored, &r->found, &r->err)) == RESULT_AGAIN) {
        assert_true(clock_mono_us() < deadline);
        wait_some(r);
    }
    return rc;
}

static int rig_start(struct rig *r, uint64_t next_number)
{
    int64_t deadline = clock_mono_us() + PATIENCE_S * US_PER_SECOND;
    int rc;
    while ((rc = sink_kafka.start(r->sink, next_number, &r->err)) == RESULT_AGAIN) {
        assert_true(clock_mono_us() < deadline);
        wait_some(r);
    }
    return rc;
}

static void rig_open(struct rig *r)
{
    size_t max_event;
    sink_kafka.close(r->sink);
    if (sink_kafka.open(&r->conf, &r->env, &r->sink, &max_event, &r->err)) {
        fail_msg("%s", r->err.text);
    }
}

/* Opens, recovers and starts, as a new process. */
static void rig_begin(struct rig *r, uint64_t next_number)
{
    rig_open(r);
    if (rig_recover(r) || rig_start(r, next_number)) {
        fail_msg("%s", r->err.text);
    }
}

/* Puts n events. */
static void put(struct rig *r, size_t n)
{
    size_t taken, from = r->batch->count;
    for (size_t i = 0; i < n; i++) {
        struct event *e = batch_add(r->batch);
        e->topic = slice_from(r->topic);
        e->key = SLICE_LITERAL("k");
        e->value = SLICE_LITERAL("v");
    }
    assert_int_equal(
        sink_kafka.put(r->sink, r->batch, from, from + n, r->next_token, &taken, &r->err),
        RESULT_DONE);
    assert_int_equal(taken, n);
    r->next_token += n;
}

static int collect(struct rig *r)
{
    wait_some(r);
    r->report.count = 0;
    return sink_kafka.collect(r->sink, &r->report, &r->err);
}

static void commit(struct rig *r, const char *cursor, const struct slice *keys, size_t n)
{
    struct sink_commit c = {.cursor = slice_from(cursor),
                            .keys = keys,
                            .keys_count = n,
                            .last_position = SLICE_LITERAL("12"),
                            .last_id = SLICE_LITERAL("e\"12\n")};
    assert_int_equal(sink_kafka.commit(r->sink, &c, &r->err), RESULT_DONE);
}

/* Collects until n events are delivered: the last n tokens that were put, in order. */
static void expect_delivered(struct rig *r, size_t n)
{
    int64_t deadline = clock_mono_us() + PATIENCE_S * US_PER_SECOND;
    uint64_t token = r->next_token - n;
    while (token < r->next_token) {
        assert_true(clock_mono_us() < deadline);
        if (collect(r)) {
            fail_msg("%s", r->err.text);
        }
        for (size_t i = 0; i < r->report.count; i++) {
            assert_int_equal(r->report.results[i].outcome, SINK_DELIVERED);
            assert_int_equal(r->report.results[i].token, token++);
        }
    }
}

/* Collects until the sink fails; nothing is delivered before. */
static void expect_failure(struct rig *r)
{
    int64_t deadline = clock_mono_us() + PATIENCE_S * US_PER_SECOND;
    while (collect(r) == RESULT_DONE) {
        assert_true(clock_mono_us() < deadline);
        assert_int_equal(r->report.count, 0);
    }
}

static void nothing_is_delivered_before_its_commit(void **state)
{
    struct rig *r = rig_new(state, "before");
    rig_begin(r, 1);
    assert_int_equal(r->found.delivered, 0);
    assert_int_equal(sink_caps(&sink_kafka, r->sink), SINK_MESSAGES | SINK_FRAMES | SINK_COMMITS);
    put(r, 10);
    int64_t until = clock_mono_us() + 300 * US_PER_MS; /* nothing tells that nothing will come */
    while (clock_mono_us() < until) {
        assert_int_equal(collect(r), RESULT_DONE);
        assert_int_equal(r->report.count, 0);
    }
    assert_false(sink_kafka.commit_due(r->sink, clock_mono_us()));
    sink_kafka.flush(r->sink);
    assert_true(sink_kafka.commit_due(r->sink, clock_mono_us()));
    commit(r, "c10", NULL, 0);
    expect_delivered(r, 10);
    put(r, 3000); /* more than one report holds */
    commit(r, "c3010", NULL, 0);
    expect_delivered(r, 3000);
    assert_int_equal(metrics_get(&r->metrics.transactions[METRICS_COMMITTED]), 2);
    rig_free(r);
}

static void the_position_is_found_with_its_keys(void **state)
{
    enum { KEYS = 6000 }; /* more than two records hold */
    struct rig *r = rig_new(state, "keys");
    char *texts = malloc((size_t)KEYS * KEY_SIZE);
    struct slice *keys = calloc(KEYS, sizeof *keys);
    for (size_t i = 0; i < KEYS; i++) {
        char *text = texts + i * KEY_SIZE;
        memset(text, (int)('a' + i % 26), KEY_SIZE);
        snprintf(text, KEY_SIZE, "%zu\n:", i);
        keys[i] = (struct slice){text, KEY_SIZE};
    }
    rig_begin(r, 1);
    put(r, 10);
    commit(r, "c10", NULL, 0);
    expect_delivered(r, 10);
    put(r, 2);
    commit(r, "c\\12", keys, KEYS);
    expect_delivered(r, 2);
    rig_open(r);
    assert_int_equal(rig_recover(r), RESULT_DONE);
    assert_int_equal(r->found.delivered, 12);
    assert_string_equal(buf_str(&r->found.cursor), "c\\12");
    assert_string_equal(buf_str(&r->found.last_position), "12");
    assert_string_equal(buf_str(&r->found.last_id), "e\"12\n");
    assert_int_equal(r->found.keys_count, KEYS);
    for (size_t i = 0; i < KEYS; i++) {
        assert_true(slice_equal(r->found.keys[i], keys[i]));
    }
    r->stored.delivered = 12; /* saved: there is nothing to recover */
    assert_int_equal(rig_recover(r), RESULT_DONE);
    assert_int_equal(r->found.delivered, 0);
    free(texts);
    free(keys);
    rig_free(r);
}

static void a_full_transaction_takes_no_more(void **state)
{
    struct rig *r = rig_new(state, "full");
    size_t taken;
    r->conf.commit.events = 3;
    rig_begin(r, 1);
    put(r, 2);
    assert_false(sink_kafka.commit_due(r->sink, clock_mono_us()));
    put(r, 1);
    assert_true(sink_kafka.commit_due(r->sink, clock_mono_us()));
    assert_int_equal(sink_kafka.put(r->sink, r->batch, 0, 2, 4, &taken, &r->err), RESULT_DONE);
    assert_int_equal(taken, 0);
    commit(r, "c3", NULL, 0);
    assert_int_equal(sink_kafka.put(r->sink, r->batch, 0, 2, 4, &taken, &r->err), RESULT_DONE);
    assert_int_equal(taken, 0);
    expect_delivered(r, 3);
    put(r, 1);
    r->conf.commit.bytes = 1;
    assert_true(sink_kafka.commit_due(r->sink, clock_mono_us()));
    r->conf.commit.bytes = 1 << 20;
    r->conf.commit.interval_us = 1000;
    assert_false(sink_kafka.commit_due(r->sink, 0));
    assert_true(sink_kafka.commit_due(r->sink, clock_mono_us() + US_PER_SECOND));
    rig_free(r);
}

static void a_database_transaction_is_not_split(void **state)
{
    struct rig *r = rig_new(state, "whole");
    r->conf.commit.events = 3;
    r->conf.whole_transactions = true;
    rig_begin(r, 1);
    assert_true(sink_caps(&sink_kafka, r->sink) & SINK_WHOLE);
    put(r, 5); /* its end has not come */
    assert_false(sink_kafka.commit_due(r->sink, clock_mono_us()));
    struct event *e = batch_add(r->batch);
    size_t taken;
    *e = r->batch->events[0];
    e->ends_transaction = true;
    assert_int_equal(sink_kafka.put(r->sink, r->batch, 5, 6, r->next_token++, &taken, &r->err),
                     RESULT_DONE);
    assert_true(sink_kafka.commit_due(r->sink, clock_mono_us()));
    commit(r, "c6", NULL, 0);
    expect_delivered(r, 6);
    assert_int_equal(metrics_get(&r->metrics.split_transactions), 0);
    put(r, 1);
    commit(r, "c7", NULL, 0); /* the pipeline stops, or the window is full */
    expect_delivered(r, 1);
    assert_int_equal(metrics_get(&r->metrics.split_transactions), 1);
    assert_non_null(strstr(r->notes, "is split over two Kafka transactions"));
    rig_free(r);
}

/* A commit that is refused: its producer is done for, and its events go again. */
static void after_a_failed_commit_a_new_producer_goes_on(void **state)
{
    struct rig *r = rig_new(state, "failed");
    rig_begin(r, 1);
    put(r, 4);
    commit(r, "c4", NULL, 0);
    expect_delivered(r, 4);
    rd_kafka_mock_push_request_errors(r->cluster, API_ADD_PARTITIONS, 1,
                                      RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
    put(r, 2);
    commit(r, "c6", NULL, 0);
    expect_failure(r);
    assert_int_equal(r->err.class, ERROR_RETRY);
    assert_int_equal(rig_start(r, 5), RESULT_DONE);
    assert_int_equal(metrics_get(&r->metrics.transactions[METRICS_FAILED]), 1);
    put(r, 2);
    commit(r, "c6", NULL, 0);
    expect_delivered(r, 2);
    rig_open(r);
    assert_int_equal(rig_recover(r), RESULT_DONE);
    assert_int_equal(r->found.delivered, 6);
    rig_free(r);
}

static void a_fenced_producer_ends_the_tenure(void **state)
{
    struct rig *r = rig_new(state, "fenced");
    rig_begin(r, 1);
    for (int i = 0; i < 3; i++) {
        rd_kafka_mock_push_request_errors(r->cluster, API_END_TXN, 1,
                                          RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
        put(r, 2);
        commit(r, "c2", NULL, 0);
        expect_failure(r);
        if (i == 2) {
            break;
        }
        assert_int_equal(r->err.class, ERROR_RETRY);
        assert_string_equal(r->err.code, SINK_OVERTAKEN);
        r->stored.epoch += 1; /* no other relay has started */
        assert_int_equal(rig_recover(r), RESULT_DONE);
        assert_int_equal(rig_start(r, 1), RESULT_DONE);
    }
    assert_int_equal(r->err.class, ERROR_FATAL);
    assert_int_equal(r->err.exit_code, EXIT_CODE_UNAVAILABLE);
    assert_non_null(strstr(r->err.text, "somebody else uses the transactional.id"));
    rig_free(r);
}

/* Another relay was fenced by, and has fenced, this one: no verdict about the configuration. */
static void fenced_by_relays_that_take_turns(void **state)
{
    struct rig *r = rig_new(state, "turns");
    rig_begin(r, 1);
    for (int i = 0; i < 4; i++) {
        rd_kafka_mock_push_request_errors(r->cluster, API_END_TXN, 1,
                                          RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
        put(r, 2);
        commit(r, "c2", NULL, 0);
        expect_failure(r);
        assert_string_equal(r->err.code, SINK_OVERTAKEN);
        r->stored.epoch += 2;
        assert_int_equal(rig_recover(r), RESULT_DONE);
        assert_int_equal(rig_start(r, 1), RESULT_DONE);
    }
    rig_free(r);
}

/* A start finds another position than the sink left: it must not put anything. */
static void a_start_behind_somebody_elses_commit_is_overtaken(void **state)
{
    struct rig *r = rig_new(state, "behind"), *other = rig_new(state, "behind");
    rig_begin(r, 1);
    put(r, 2);
    commit(r, "c2", NULL, 0);
    expect_delivered(r, 2);
    rig_open(other);
    assert_int_equal(rig_recover(other), RESULT_DONE);
    assert_int_equal(rig_start(other, 3), RESULT_DONE);
    put(other, 3);
    commit(other, "c5", NULL, 0);
    expect_delivered(other, 3);
    assert_int_equal(rig_start(r, 3), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_RETRY);
    assert_string_equal(r->err.code, SINK_OVERTAKEN);
    assert_int_equal(rig_recover(r), RESULT_DONE);
    assert_int_equal(r->found.delivered, 5);
    assert_string_equal(buf_str(&r->found.cursor), "c5");
    assert_int_equal(rig_start(r, 6), RESULT_DONE);
    rig_free(other);
    rig_free(r);
}

static void the_position_of_another_database_is_refused(void **state)
{
    struct rig *r = rig_new(state, "database");
    rig_begin(r, 1);
    put(r, 1);
    commit(r, "c1", NULL, 0);
    expect_delivered(r, 1);
    rig_open(r);
    r->stored.origin = "PostgreSQL cluster 7, database 5 (renamed)";
    assert_int_equal(rig_recover(r), RESULT_DONE);
    r->stored.origin = "PostgreSQL cluster 8, database 5 (shop)";
    assert_int_equal(rig_recover(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_FATAL);
    assert_int_equal(r->err.exit_code, EXIT_CODE_UNAVAILABLE);
    assert_non_null(strstr(r->err.text, "cluster 7"));
    rig_free(r);
}

static void a_lost_topic_is_said(void **state)
{
    struct rig *r = rig_new(state, "lost");
    r->stored.delivered = 40;
    rig_begin(r, 41);
    assert_int_equal(r->found.delivered, 0);
    assert_non_null(strstr(r->notes, "holds no position of this pipeline"));
    put(r, 1);
    commit(r, "c41", NULL, 0);
    expect_delivered(r, 1);
    r->notes[0] = '\0';
    r->stored.delivered = 60;
    rig_open(r);
    assert_int_equal(rig_recover(r), RESULT_DONE);
    assert_int_equal(r->found.delivered, 0);
    assert_non_null(strstr(r->notes, "is behind"));
    rig_free(r);
}

/* A replay sends beside the relay: it must not fence it, and has no position. */
static void beside_a_relay_there_are_no_transactions(void **state)
{
    struct rig *r = rig_new(state, "beside");
    r->env.beside = true;
    rig_open(r);
    assert_int_equal(sink_caps(&sink_kafka, r->sink), SINK_MESSAGES | SINK_FRAMES | SINK_STREAMS);
    assert_int_equal(rig_start(r, 1), RESULT_DONE);
    put(r, 3);
    size_t got = 0;
    int64_t deadline = clock_mono_us() + PATIENCE_S * US_PER_SECOND;
    while (got < 3) {
        assert_true(clock_mono_us() < deadline);
        assert_int_equal(collect(r), RESULT_DONE);
        got += r->report.count;
    }
    rig_free(r);
}

static void without_a_broker_it_says_so_and_ends_soon(void **state)
{
    struct rig *r = rig_new(state, "away");
    r->conf.brokers = (char *)(uintptr_t) "127.0.0.1:1";
    rig_open(r);
    assert_int_equal(sink_kafka.recover(r->sink, &r->stored, &r->found, &r->err), RESULT_AGAIN);
    int64_t before = clock_mono_us();
    sink_kafka.close(r->sink);
    r->sink = NULL;
    assert_true(clock_mono_us() - before < 5 * US_PER_SECOND);
    assert_null(strstr(r->notes, "left behind"));
    rig_open(r);
    assert_int_equal(rig_recover(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_RETRY);
    rig_free(r);
}

static void settings_that_break_it_are_refused(void **state)
{
    static const struct {
        const char *name, *value;
    } properties[] = {{"transactional.id", "mine"},
                      {"message.timeout.ms", "1000"},
                      {"delivery.timeout.ms", "1000"},
                      {"transaction.timeout.ms", "60000"},
                      {"socket.timeout.ms", "20000"}};
    struct rig *r = rig_new(state, "refused");
    size_t max_event;
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
        r->conf.properties.count = 1;
        r->pairs[0] = (struct conf_pair){(char *)(uintptr_t)properties[i].name,
                                         (char *)(uintptr_t)properties[i].value};
        assert_int_equal(sink_kafka.open(&r->conf, &r->env, &r->sink, &max_event, &r->err),
                         RESULT_ERROR);
        assert_int_equal(r->err.exit_code, EXIT_CODE_CONFIG);
    }
    r->conf.properties.count = 0;
    r->conf.position_topic = (char *)(uintptr_t) "no topic";
    assert_int_equal(sink_kafka.open(&r->conf, &r->env, &r->sink, &max_event, &r->err),
                     RESULT_ERROR);
    assert_non_null(strstr(r->err.text, "sink.position_topic"));
    r->conf.position_topic = (char *)(uintptr_t) "p";
    r->conf.transactional_id = (char *)(uintptr_t) "";
    assert_int_equal(sink_kafka.open(&r->conf, &r->env, &r->sink, &max_event, &r->err),
                     RESULT_ERROR);
    assert_non_null(strstr(r->err.text, "sink.transactional_id"));
    r->conf.transactional_id = (char *)(uintptr_t) "t";
    r->conf.commit.interval_us = r->conf.transaction_timeout_us;
    assert_int_equal(sink_kafka.open(&r->conf, &r->env, &r->sink, &max_event, &r->err),
                     RESULT_ERROR);
    assert_non_null(strstr(r->err.text, "sink.commit.interval"));
    r->conf.exactly_once = false;
    r->conf.whole_transactions = true;
    assert_int_equal(sink_kafka.open(&r->conf, &r->env, &r->sink, &max_event, &r->err),
                     RESULT_ERROR);
    assert_non_null(strstr(r->err.text, "sink.whole_transactions"));
    r->sink = NULL;
    rig_free(r);
}

static void a_damaged_record_is_refused(void **state)
{
    static const char *const damaged[] = {
        "",
        "{}",
        "[]",
        "x",
        "{\"v\":2,\"delivered\":1,\"keys\":0,\"cursor\":\"c\",\"last_position\":\"\",\"last_id\":\"\",\"store\":\"\"}",
        "{\"v\":1,\"delivered\":-1,\"keys\":0,\"cursor\":\"c\",\"last_position\":\"\",\"last_id\":\"\",\"store\":\"\"}",
        "{\"v\":1,\"delivered\":1,\"keys\":0,\"cursor\":\"\",\"last_position\":\"\",\"last_id\":\"\",\"store\":\"\"}",
        "{\"v\":1,\"delivered\":1,\"keys\":0,\"cursor\":\"c\",\"last_position\":\"\",\"last_id\":\"\",\"store\":\"\""};
    struct kafka_position p = {.offset = -1};
    struct error err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        assert_int_equal(kafka_position_parse(slice_from(damaged[i]), &p, &err), RESULT_ERROR);
        assert_int_equal(err.exit_code, EXIT_CODE_UNAVAILABLE);
    }
    static const char *const keys[] = {"",      "1", "1 5", "2 5\n", "1 5\n3:ab\n", "1 5\n1:ab\n",
                                       "1 5\n:"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        assert_false(kafka_position_parse_keys(slice_from(keys[i]), &p));
    }
    assert_true(kafka_position_parse_keys(SLICE_LITERAL("1 5\n2:ab\n0:\n"), &p));
    kafka_position_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_delivered_before_its_commit),
        cmocka_unit_test(the_position_is_found_with_its_keys),
        cmocka_unit_test(a_full_transaction_takes_no_more),
        cmocka_unit_test(a_database_transaction_is_not_split),
        cmocka_unit_test(after_a_failed_commit_a_new_producer_goes_on),
        cmocka_unit_test(a_fenced_producer_ends_the_tenure),
        cmocka_unit_test(fenced_by_relays_that_take_turns),
        cmocka_unit_test(a_start_behind_somebody_elses_commit_is_overtaken),
        cmocka_unit_test(the_position_of_another_database_is_refused),
        cmocka_unit_test(a_lost_topic_is_said),
        cmocka_unit_test(beside_a_relay_there_are_no_transactions),
        cmocka_unit_test(without_a_broker_it_says_so_and_ends_soon),
        cmocka_unit_test(settings_that_break_it_are_refused),
        cmocka_unit_test(a_damaged_record_is_refused),
    };
    return cmocka_run_group_tests(tests, world_up, world_down);
}
