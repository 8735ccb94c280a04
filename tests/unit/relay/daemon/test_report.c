/* Health, readiness and status say what is so, and name who is to blame. */
#include "unit.h"

#include "daemon/report.h"
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROWS = 2 };

struct fixture {
    struct metrics metrics[ROWS];
    struct report_row rows[ROWS];
    struct report report;
    struct buf out;
};

static const int64_t NOW = 1000 * US_PER_SECOND;

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    const char *names[ROWS] = {"orders", "bills"};
    for (size_t i = 0; i < ROWS; i++) {
        metrics_init(&f->metrics[i]);
        f->rows[i] = (struct report_row){.name = names[i],
                                         .metrics = &f->metrics[i],
                                         .running = true,
                                         .status = {.state = PIPELINE_RUNNING,
                                                    .alive_us = NOW - US_PER_SECOND,
                                                    .lag = SOURCE_LAG_UNKNOWN,
                                                    .slot_limit_seconds = -1}};
    }
    f->report = (struct report){.rows = f->rows, .count = ROWS, .now_us = NOW};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buf_release(&f->out);
    test_free(f);
    return 0;
}

static void test_stuck(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(report_health(&f->out, &f->report), 200);
    f->rows[1].status.alive_us = NOW - 46 * US_PER_SECOND;
    buf_clear(&f->out);
    assert_int_equal(report_health(&f->out, &f->report), 503);
    assert_non_null(strstr(buf_str(&f->out), "bills"));
    assert_null(strstr(buf_str(&f->out), "orders"));
    assert_int_equal(report_ready(&f->out, &f->report), 503);
    /* Connecting may take several bounded waits in a row. */
    f->rows[1].status.state = PIPELINE_RETRYING;
    assert_true(report_all_alive(&f->report));
    f->rows[1].status.alive_us = NOW - 181 * US_PER_SECOND;
    assert_false(report_all_alive(&f->report));
    /* Who has ended is not stuck; who has just begun neither. */
    f->rows[1].running = false;
    assert_true(report_all_alive(&f->report));
    f->rows[1].running = true;
    f->rows[1].started_us = NOW - US_PER_SECOND;
    assert_true(report_all_alive(&f->report));
}

static void test_ready(void **state)
{
    struct fixture *f = *state;
    const int expected[] = {
        [PIPELINE_STARTING] = 503, [PIPELINE_WAITING] = 200, [PIPELINE_RUNNING] = 200,
        [PIPELINE_RETRYING] = 503, [PIPELINE_PAUSED] = 200,  [PIPELINE_BLOCKED] = 503,
        [PIPELINE_DRAINING] = 503, [PIPELINE_STOPPED] = 503, [PIPELINE_FAILED] = 503,
    };
    for (enum pipeline_state s = PIPELINE_STARTING; s <= PIPELINE_FAILED; s++) {
        f->rows[0].status.state = s;
        assert_int_equal(report_ready(&f->out, &f->report), expected[s]);
    }
    f->rows[0].status.state = PIPELINE_BLOCKED;
    snprintf(f->rows[0].status.detail, sizeof f->rows[0].status.detail, "no table");
    buf_clear(&f->out);
    assert_int_equal(report_ready(&f->out, &f->report), 503);
    assert_string_equal(buf_str(&f->out), "orders: blocked: no table\nbills: running\n");
}

static void test_status(void **state)
{
    struct fixture *f = *state;
    struct pipeline_status *s = &f->rows[0].status;
    f->report.started_us = NOW - 61 * US_PER_SECOND;
    snprintf(s->position, sizeof s->position, "42");
    snprintf(s->detail, sizeof s->detail, "quote \" and \xff");
    s->delivered = 7;
    s->lag.pending_events = 3;
    s->lag.lag_bytes = 9;
    s->lag.slot_retained_bytes = 10;
    snprintf(s->lag.progress, sizeof s->lag.progress, "orders, 12 %%");
    metrics_set(&f->metrics[0].lag_us, 1500000);
    metrics_set(&f->metrics[0].breaker_state, 2);
    assert_int_equal(report_status(&f->out, &f->report), 200);
    json_error_t why;
    json_t *j = json_loadb(f->out.data, f->out.len, 0, &why);
    assert_non_null(j);
    assert_int_equal(json_integer_value(json_object_get(j, "uptime")), 61);
    json_t *one = json_array_get(json_object_get(j, "pipelines"), 0);
    json_t *two = json_array_get(json_object_get(j, "pipelines"), 1);
    assert_string_equal(json_string_value(json_object_get(one, "name")), "orders");
    assert_string_equal(json_string_value(json_object_get(one, "position")), "42");
    assert_int_equal(json_integer_value(json_object_get(one, "delivered")), 7);
    assert_int_equal(json_integer_value(json_object_get(one, "pending_events")), 3);
    assert_true(json_real_value(json_object_get(one, "lag_seconds")) == 1.5);
    assert_string_equal(json_string_value(json_object_get(one, "breaker")), "open");
    assert_int_equal(json_integer_value(json_object_get(one, "lag_bytes")), 9);
    assert_int_equal(json_integer_value(json_object_get(one, "slot_retained_bytes")), 10);
    assert_true(json_is_null(json_object_get(one, "slot_limit_bytes")));
    assert_true(json_is_null(json_object_get(one, "slot_limit_seconds")));
    assert_string_equal(json_string_value(json_object_get(one, "progress")), "orders, 12 %");
    assert_true(json_is_null(json_object_get(two, "progress")));
    assert_non_null(json_string_value(json_object_get(one, "detail")));
    assert_true(json_is_null(json_object_get(two, "position")));
    assert_true(json_is_null(json_object_get(two, "pending_events")));
    json_decref(j);
}

static void test_metrics(void **state)
{
    struct fixture *f = *state;
    f->report.reload_failures = 2;
    assert_int_equal(report_metrics(&f->out, &f->report), 200);
    const char *text = buf_str(&f->out);
    assert_non_null(strstr(text, "\ncommitrelay_config_reload_failures_total 2\n"));
    assert_non_null(strstr(text, "commitrelay_events_read_total{pipeline=\"bills\"} 0\n"));
    report_metrics_reference(&f->out);
    assert_non_null(strstr(buf_str(&f->out), "| `commitrelay_config_reload_failures_total` |"));
}

/* The value behind "\nNAME ". */
static double value(const struct buf *page, const char *name)
{
    char line[64];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(buf_str(page), line);
    assert_non_null(at);
    return strtod(at + strlen(line), NULL);
}

static double metric(struct fixture *f, const char *name)
{
    buf_clear(&f->out);
    report_metrics(&f->out, &f->report);
    return value(&f->out, name);
}

static void test_process(void **state)
{
    struct fixture *f = *state;
    f->report.started_wall_us = INT64_C(1764460800250000);
    assert_true(metric(f, "process_start_time_seconds") == 1764460800.25);
    double open_before = metric(f, "process_open_fds");
    int one_more = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(metric(f, "process_open_fds") == open_before + 1);
    close(one_more);
    assert_true(metric(f, "process_max_fds") > open_before);
    assert_true(metric(f, "process_virtual_memory_bytes") >
                metric(f, "process_resident_memory_bytes"));
    assert_true(metric(f, "process_resident_memory_bytes") > 100e3);
    double used = metric(f, "process_cpu_seconds_total");
    while (metric(f, "process_cpu_seconds_total") <= used) { /* this uses some */
    }
}

static void test_targets(void **state)
{
    struct fixture *f = *state;
    struct pipeline_status *s = &f->rows[1].status;
    s->targets_count = 2;
    s->targets[0] = (struct sink_target){.name = "a", .accepted = 20, .unconfirmed = 1};
    s->targets[1] =
        (struct sink_target){.name = "b", .waiting = 3, .open = true, .error = "\"no\""};
    assert_int_equal(report_status(&f->out, &f->report), 200);
    json_t *all = json_loads(buf_str(&f->out), 0, NULL);
    json_t *rows = json_object_get(all, "pipelines");
    assert_null(json_object_get(json_array_get(rows, 0), "targets"));
    char *text = json_dumps(json_object_get(json_array_get(rows, 1), "targets"), JSON_COMPACT);
    assert_string_equal(
        text,
        "[{\"name\":\"a\",\"accepted\":20,\"waiting\":0,\"unconfirmed\":1,\"open\":false,\"error\":"
        "null},{\"name\":\"b\",\"accepted\":0,\"waiting\":3,\"unconfirmed\":0,\"open\":true,"
        "\"error\":\"\\\"no\\\"\"}]");
    free(text);
    json_decref(all);
    buf_clear(&f->out);
    assert_int_equal(report_metrics(&f->out, &f->report), 200);
    static const char *const samples[] = {
        "\ncommitrelay_target_accepted_number{pipeline=\"bills\",target=\"a\"} 20\n",
        "\ncommitrelay_target_waiting_files{pipeline=\"bills\",target=\"b\"} 3\n",
        "\ncommitrelay_target_failing{pipeline=\"bills\",target=\"a\"} 0\n",
        "\ncommitrelay_target_failing{pipeline=\"bills\",target=\"b\"} 1\n"};
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        assert_non_null(strstr(buf_str(&f->out), samples[i]));
    }
    assert_null(strstr(buf_str(&f->out), "pipeline=\"orders\",target"));
}

static void test_summary(void **state)
{
    struct fixture *f = *state;
    f->rows[1].status.state = PIPELINE_BLOCKED;
    report_summary(&f->out, &f->report);
    assert_string_equal(buf_str(&f->out), "1 running, 1 blocked");
}

static void test_shards(void **state)
{
    struct fixture *f = *state;
    f->rows[0].part = "0/2";
    f->rows[1].name = "orders";
    f->rows[1].part = "1/2";
    f->rows[1].status.state = PIPELINE_WAITING;
    assert_int_equal(report_ready(&f->out, &f->report), 200);
    assert_non_null(strstr(buf_str(&f->out), "orders 0/2: running\n"));
    assert_non_null(strstr(buf_str(&f->out), "orders 1/2: waiting"));
    buf_clear(&f->out);
    report_status(&f->out, &f->report);
    assert_non_null(strstr(buf_str(&f->out), "\"part\":\"1/2\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stuck, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ready, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metrics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_process, setup, teardown),
        cmocka_unit_test_setup_teardown(test_targets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_summary, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shards, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
