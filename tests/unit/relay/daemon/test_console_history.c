/* The last hour in memory: rates are of the time between two samples, and it stays bounded. */
#include "unit.h"

#include "daemon/console/history.h"

struct fixture {
    struct metrics metrics[2];
    struct report_row rows[2];
    struct report report;
    struct history *history;
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    static const char *const names[] = {"orders", "bills"};
    for (size_t i = 0; i < 2; i++) {
        metrics_init(&f->metrics[i]);
        f->rows[i] = (struct report_row){
            .name = names[i], .metrics = &f->metrics[i], .status = {.lag = SOURCE_LAG_UNKNOWN}};
    }
    f->report = (struct report){.rows = f->rows, .count = 2, .now_us = 1000 * US_PER_SECOND};
    f->history = history_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    history_free(f->history);
    test_free(f);
    return 0;
}

static size_t length(const struct fixture *f, const char *pipeline)
{
    json_t *j = history_json(f->history, pipeline);
    size_t n = json_array_size(json_object_get(j, "lag_seconds"));
    json_decref(j);
    return n;
}

static void test_rates(void **state)
{
    struct fixture *f = *state;
    double in, out;
    history_rates(f->history, "orders", &in, &out);
    assert_true(in < 0 && out < 0);
    assert_true(history_take(f->history, &f->report));
    history_rates(f->history, "orders", &in, &out);
    assert_true(in < 0 && out < 0); /* one sample has no rate */
    assert_false(history_take(f->history, &f->report));
    metrics_add(&f->metrics[0].events_read, 600);
    metrics_add(&f->metrics[0].events_delivered, 300);
    f->report.now_us += 2 * HISTORY_EVERY_US; /* a late one: the rate is of the real time */
    assert_true(history_take(f->history, &f->report));
    history_rates(f->history, "orders", &in, &out);
    assert_true(in > 19.9 && in < 20.1 && out > 9.9 && out < 10.1);
    history_rates(f->history, "bills", &in, &out);
    assert_true(in == 0 && out == 0);
}

static void test_bounded(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < HISTORY_SAMPLES + 10; i++) {
        metrics_set(&f->metrics[0].lag_us, i * US_PER_SECOND);
        f->rows[0].status.lag.pending_events = i % 2 ? 5 : -1;
        assert_true(history_take(f->history, &f->report));
        f->report.now_us += HISTORY_EVERY_US;
    }
    assert_int_equal(length(f, "orders"), HISTORY_SAMPLES);
    json_t *j = history_json(f->history, "orders");
    json_t *lag = json_object_get(j, "lag_seconds"),
           *pending = json_object_get(j, "pending_events");
    assert_true(json_real_value(json_array_get(lag, 0)) == 10); /* the oldest first */
    assert_true(json_real_value(json_array_get(lag, HISTORY_SAMPLES - 1)) == HISTORY_SAMPLES + 9);
    assert_true(json_is_null(json_array_get(pending, 0)));
    assert_true(json_real_value(json_array_get(pending, 1)) == 5);
    json_decref(j);
}

static void test_forgotten(void **state)
{
    struct fixture *f = *state;
    assert_true(history_take(f->history, &f->report));
    assert_int_equal(length(f, "bills"), 1);
    f->report.count = 1; /* a reload without it */
    f->report.now_us += HISTORY_EVERY_US;
    assert_true(history_take(f->history, &f->report));
    assert_int_equal(length(f, "bills"), 0);
    assert_int_equal(length(f, "orders"), 2);
    assert_int_equal(length(f, "unknown"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forgotten, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
