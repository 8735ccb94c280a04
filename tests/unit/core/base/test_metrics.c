/* What is counted is what a scraper reads, in the text format it expects. */
#include "unit.h"

#include "base/metrics.h"
#include <string.h>

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++) {
        n++;
    }
    return n;
}

static void renders_values(void **state)
{
    (void)state;
    struct metrics a, b;
    metrics_init(&a);
    metrics_init(&b);
    metrics_add(&a.events_read, 3);
    metrics_add(&a.events_read, 4);
    metrics_set(&a.breaker_state, 2);
    metrics_add(&a.failures[ERROR_POISON], 5);
    metrics_set(&a.lag_us, 1500000);
    metrics_set(&b.lag_bytes, 4096);
    metrics_set(&a.events_delivered, INT64_C(9007199254740993));
    struct metrics *both[] = {&a, &b};
    const char *names[] = {"a", "b"};
    CLEANUP(buf_release) struct buf out = {0};
    metrics_render(&out, both, names, 2);
    static const char *const lines[] = {
        "\ncommitrelay_events_read_total{pipeline=\"a\"} 7\n",
        "\ncommitrelay_events_read_total{pipeline=\"b\"} 0\n",
        "\ncommitrelay_breaker_state{pipeline=\"a\"} 2\n",
        "\ncommitrelay_failures_total{pipeline=\"a\",class=\"poison\"} 5\n",
        "\ncommitrelay_failures_total{pipeline=\"b\",class=\"retry\"} 0\n",
        "\ncommitrelay_lag_seconds{pipeline=\"a\"} 1.5\n",
        "\ncommitrelay_lag_bytes{pipeline=\"b\"} 4096\n",
        "\n# TYPE commitrelay_events_read_total counter\n",
        "\n# TYPE commitrelay_delivery_seconds histogram\n",
        "\n# TYPE commitrelay_pipeline_state gauge\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (count_of(out.data, lines[i]) != 1) {
            fail_msg("not there once: %s", lines[i]);
        }
    }
    assert_null(strstr(out.data, "commitrelay_lag_bytes{pipeline=\"a\"}")); /* no CDC */
    assert_non_null(
        strstr(out.data, "commitrelay_build_info{version=\"" COMMITRELAY_VERSION "\"} 1\n"));
}

static void histogram_is_cumulative(void **state)
{
    (void)state;
    struct metrics m;
    metrics_init(&m);
    metrics_delivery(&m, -5, 1);   /* clocks that disagree: as 0 */
    metrics_delivery(&m, 1000, 2); /* a bound belongs to its bucket */
    metrics_delivery(&m, 1001, 4);
    metrics_delivery(&m, INT64_C(400000000), 8); /* beyond the last bound */
    struct metrics *one[] = {&m};
    const char *names[] = {"p"};
    CLEANUP(buf_release) struct buf out = {0};
    metrics_render(&out, one, names, 1);
    static const char *const lines[] = {
        "commitrelay_delivery_seconds_bucket{pipeline=\"p\",le=\"0.001\"} 3\n",
        "commitrelay_delivery_seconds_bucket{pipeline=\"p\",le=\"0.0025\"} 7\n",
        "commitrelay_delivery_seconds_bucket{pipeline=\"p\",le=\"300\"} 7\n",
        "commitrelay_delivery_seconds_bucket{pipeline=\"p\",le=\"+Inf\"} 15\n",
        "commitrelay_delivery_seconds_count{pipeline=\"p\"} 15\n",
        "commitrelay_delivery_seconds_sum{pipeline=\"p\"} 3200.006004\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (count_of(out.data, lines[i]) != 1) {
            fail_msg("not there once: %s in %s", lines[i], out.data);
        }
    }
}

/* HELP and TYPE once a metric, and every rendered metric stands in the reference. */
static void every_metric_is_described_once(void **state)
{
    (void)state;
    struct metrics a, b;
    metrics_init(&a);
    metrics_init(&b);
    struct metrics *both[] = {&a, &b};
    const char *names[] = {"a", "b"};
    CLEANUP(buf_release) struct buf out = {0}, reference = {0};
    metrics_render(&out, both, names, 2);
    metrics_reference(&reference);
    static const char *const all[] = {
        "build_info",
        "events_read_total",
        "events_delivered_total",
        "bytes_delivered_total",
        "retries_total",
        "failures_total",
        "dead_letters",
        "parked_keys",
        "in_flight_events",
        "in_flight_bytes",
        "breaker_state",
        "lag_seconds",
        "lag_bytes",
        "pending_events",
        "delivery_seconds",
        "slot_retained_bytes",
        "slot_limit_seconds",
        "pipeline_state",
        "last_event_timestamp_seconds",
        "last_save_timestamp_seconds",
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CLEANUP(buf_release) struct buf what = {0};
        buf_printf(&what, "# HELP commitrelay_%s ", all[i]);
        assert_int_equal(count_of(out.data, what.data), 1);
        buf_clear(&what);
        buf_printf(&what, "`commitrelay_%s`", all[i]);
        assert_int_equal(count_of(reference.data, what.data), 1);
    }
    assert_int_equal(count_of(out.data, "# TYPE "), sizeof all / sizeof *all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_values),
        cmocka_unit_test(histogram_is_cumulative),
        cmocka_unit_test(every_metric_is_described_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
