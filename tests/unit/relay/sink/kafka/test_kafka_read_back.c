/* Reading events back from librdkafka's mock cluster: what is told of a topic that cannot be read.
 * tests/integration/verify.py has a real broker. */
#include "unit.h"

#include "base/clock.h"
#include "sink/kafka/read_back.h"

#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { API_FETCH = 1, API_LIST_OFFSETS = 2, MESSAGES = 10, MANY = 200 };

struct mock {
    rd_kafka_t *producer;
    rd_kafka_mock_cluster_t *cluster;
};

static int world_up(void **state)
{
    char text[256];
    struct mock *m = calloc(1, sizeof *m);
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    rd_kafka_conf_set(c, "log_level", "0", text, sizeof text);
    rd_kafka_conf_set(c, "test.mock.num.brokers", "1", text, sizeof text);
    m->producer = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof text);
    assert_non_null(m->producer);
    m->cluster = rd_kafka_handle_mock_cluster(m->producer);
    *state = m;
    return 0;
}

static int world_down(void **state)
{
    struct mock *m = *state;
    rd_kafka_destroy(m->producer);
    free(m);
    return 0;
}

struct rig {
    struct mock *mock;
    rd_kafka_conf_t *template;
    const char *topic;
    int16_t api; /* whose answers become `error` once the topics are listed; -1: none */
    rd_kafka_resp_err_t error;
    int64_t taken;
    struct error err;
};

static void begin(struct rig *r, void **state, const char *topic)
{
    char text[256], value[] = {'x'};
    *r = (struct rig){.mock = *state, .topic = topic, .api = -1, .template = rd_kafka_conf_new()};
    rd_kafka_conf_set(r->template, "bootstrap.servers",
                      rd_kafka_mock_cluster_bootstraps(r->mock->cluster), text, sizeof text);
    rd_kafka_mock_topic_create(r->mock->cluster, topic, 2, 1);
    for (int i = 0; i < MESSAGES; i++) {
        assert_int_equal(
            rd_kafka_producev(r->mock->producer, RD_KAFKA_V_TOPIC(topic),
                              RD_KAFKA_V_PARTITION(i % 2), RD_KAFKA_V_VALUE(value, sizeof value),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
            0);
    }
    assert_int_equal(rd_kafka_flush(r->mock->producer, 60000), 0);
}

static void end(struct rig *r)
{
    rd_kafka_mock_clear_request_errors(r->mock->cluster, API_FETCH);
    rd_kafka_mock_clear_request_errors(r->mock->cluster, API_LIST_OFFSETS);
    rd_kafka_conf_destroy(r->template);
}

static struct kafka_read_back from(const struct rig *r)
{
    return (struct kafka_read_back){.template = r->template,
                                    .brokers = "the brokers",
                                    .patience_us = 60 * US_PER_SECOND,
                                    .stop_fd = -1};
}

static bool wants(void *ctx, struct slice topic)
{
    struct rig *r = ctx;
    rd_kafka_resp_err_t errors[MANY];
    bool ours = slice_equal_str(topic, r->topic);
    for (size_t i = 0; i < MANY; i++) {
        errors[i] = r->error;
    }
    if (ours && r->api >= 0) {
        rd_kafka_mock_push_request_errors_array(r->mock->cluster, r->api, MANY, errors);
    }
    return ours;
}

static int take(void *ctx, const struct sink_copy *copy, struct error *err UNUSED)
{
    struct rig *r = ctx;
    assert_int_equal(copy->payload.len, 1);
    r->taken++;
    return RESULT_DONE;
}

static void note(void *ctx UNUSED, const char *text)
{
    fail_msg("%s", text);
}

static int read_all(struct rig *r)
{
    const struct kafka_read_back where = from(r);
    const struct sink_reading reading = {
        .from_us = INT64_MIN, .wants = wants, .take = take, .note = note, .ctx = r};
    return kafka_read_back(&where, &reading, &r->err);
}

static void assert_says(const struct rig *r, int exit_code, const char *text)
{
    assert_int_equal(r->err.exit_code, exit_code);
    if (!strstr(r->err.text, text)) {
        fail_msg("\"%s\" does not hold \"%s\"", r->err.text, text);
    }
}

static void all_is_read(void **state)
{
    struct rig r;
    begin(&r, state, "all");
    if (read_all(&r)) {
        fail_msg("%s", r.err.text);
    }
    assert_int_equal(r.taken, MESSAGES);
    end(&r);
}

static void no_right_is_told(void **state)
{
    static const int16_t apis[] = {API_LIST_OFFSETS, API_FETCH};
    static const char *const topics[] = {"not-described", "not-read"};
    for (size_t i = 0; i < 2; i++) {
        struct rig r;
        begin(&r, state, topics[i]);
        r.api = apis[i];
        r.error = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
        assert_int_equal(read_all(&r), RESULT_ERROR);
        assert_says(&r, EXIT_CODE_PERMISSION, topics[i]);
        assert_says(&r, EXIT_CODE_PERMISSION, "grant the relay's user READ and DESCRIBE");
        assert_null(strstr(r.err.text, "WRITE"));
        end(&r);
    }
}

static void a_partition_that_went_is_told(void **state)
{
    struct rig r;
    begin(&r, state, "went");
    r.api = API_LIST_OFFSETS;
    r.error = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    assert_int_equal(read_all(&r), RESULT_ERROR);
    assert_says(&r, EXIT_CODE_UNAVAILABLE,
                "partition 0 of topic went at the brokers is gone since the topics were listed");
    end(&r);
}

static void a_topic_is_looked_for(void **state)
{
    struct rig r;
    begin(&r, state, "there");
    const struct kafka_read_back where = from(&r);
    if (kafka_find_topic(&where, "there", &r.err)) {
        fail_msg("%s", r.err.text);
    }
    rd_kafka_mock_topic_set_error(r.mock->cluster, "there",
                                  RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    assert_int_equal(kafka_find_topic(&where, "there", &r.err), RESULT_ERROR);
    assert_says(&r, EXIT_CODE_PERMISSION, "topic there at the brokers may not be read");
    rd_kafka_mock_topic_set_error(r.mock->cluster, "there",
                                  RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    assert_int_equal(kafka_find_topic(&where, "there", &r.err), RESULT_ERROR);
    assert_says(&r, EXIT_CODE_CONFIG, "there is no topic there at the brokers");
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_is_read, world_up, world_down),
        cmocka_unit_test_setup_teardown(no_right_is_told, world_up, world_down),
        cmocka_unit_test_setup_teardown(a_partition_that_went_is_told, world_up, world_down),
        cmocka_unit_test_setup_teardown(a_topic_is_looked_for, world_up, world_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
