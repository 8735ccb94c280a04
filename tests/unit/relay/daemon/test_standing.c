/* One table describes every figure: what is printed from it is what a scraper, a program and
 * `status` read. */
#include "unit.h"

#include "daemon/standing.h"
#include <string.h>

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++) {
        n++;
    }
    return n;
}

struct two {
    struct standing rows[2];
    struct metrics metrics[2];
    struct metrics *both[2];
};

static void setup(struct two *t)
{
    for (size_t i = 0; i < 2; i++) {
        standing_init(&t->rows[i]);
        t->rows[i].name = i ? "b" : "a";
        metrics_init(&t->metrics[i]);
        t->both[i] = &t->metrics[i];
    }
}

static void samples(void **state)
{
    (void)state;
    struct two t;
    CLEANUP(buf_release) struct buf out = {0};
    setup(&t);
    t.rows[0].events_read_total = 7;
    t.rows[0].breaker_state = 2;
    t.rows[0].lag_seconds = 1.5;
    t.rows[0].events_delivered_total = INT64_C(9007199254740992);
    t.rows[1].lag_bytes = 4096;
    metrics_add(&t.metrics[0].failures[ERROR_POISON], 5);
    standing_metrics(&out, t.rows, t.both, 2);
    static const char *const lines[] = {
        "\ncommitrelay_events_read_total{pipeline=\"a\"} 7\n",
        "\ncommitrelay_events_read_total{pipeline=\"b\"} 0\n",
        "\ncommitrelay_events_delivered_total{pipeline=\"a\"} 9007199254740992\n",
        "\ncommitrelay_breaker_state{pipeline=\"a\"} 2\n",
        "\ncommitrelay_failures_total{pipeline=\"a\",class=\"poison\"} 5\n",
        "\ncommitrelay_failures_total{pipeline=\"b\",class=\"retry\"} 0\n",
        "\ncommitrelay_lag_seconds{pipeline=\"a\"} 1.5\n",
        "\ncommitrelay_lag_bytes{pipeline=\"b\"} 4096\n",
        "\ncommitrelay_pending_events{pipeline=\"a\"} 0\n", /* unknown */
        "\n# TYPE commitrelay_events_read_total counter\n",
        "\n# TYPE commitrelay_delivery_seconds histogram\n",
        "\n# TYPE commitrelay_pipeline_state gauge\n",
        "commitrelay_build_info{version=\"" COMMITRELAY_VERSION "\"} 1\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (count_of(out.data, lines[i]) != 1) {
            fail_msg("not there once: %s", lines[i]);
        }
    }
    assert_null(strstr(out.data, "commitrelay_lag_bytes{pipeline=\"a\"}")); /* no CDC */
}

/* A shard's samples say which one it is; those of a pipeline that is not divided have no such
 * label.
 */
static void parts_are_a_label(void **state)
{
    (void)state;
    struct two t;
    CLEANUP(buf_release) struct buf out = {0};
    setup(&t);
    t.rows[0].name = "b";
    t.rows[0].part = "3/8";
    t.rows[0].events_read_total = 7;
    standing_metrics(&out, t.rows, t.both, 2);
    static const char *const lines[] = {
        "\ncommitrelay_events_read_total{pipeline=\"b\",part=\"3/8\"} 7\n",
        "\ncommitrelay_events_read_total{pipeline=\"b\"} 0\n",
        "\ncommitrelay_failures_total{pipeline=\"b\",part=\"3/8\",class=\"retry\"} 0\n",
        "\ncommitrelay_delivery_seconds_count{pipeline=\"b\",part=\"3/8\"} 0\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (count_of(out.data, lines[i]) != 1) {
            fail_msg("not there once: %s", lines[i]);
        }
    }
}

/* HELP and TYPE once a metric, and every rendered metric stands in the reference. */
static void every_metric_is_described_once(void **state)
{
    (void)state;
    struct two t;
    CLEANUP(buf_release) struct buf out = {0}, reference = {0};
    setup(&t);
    standing_metrics(&out, t.rows, t.both, 2);
    standing_metrics_reference(&reference);
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
        "transactions_total",
        "transaction_seconds",
        "split_transactions_total",
        "slot_retained_bytes",
        "slot_limit_seconds",
        "pipeline_state",
        "last_event_timestamp_seconds",
        "last_save_timestamp_seconds",
        "topic_events_delivered_total",
        "pruned_rows_total",
        "last_prune_timestamp_seconds",
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

static const enum standing_field some[] = {STANDING_position,
                                           STANDING_paused,
                                           STANDING_delivered,
                                           STANDING_lag_seconds,
                                           STANDING_slot_retained_bytes,
                                           STANDING_lag_bytes,
                                           STANDING_detail};
enum { SOME = sizeof some / sizeof *some };

/* What was printed is read back, and what is unknown changes nothing. */
static void printed_and_read_back(void **state)
{
    (void)state;
    struct standing s, back;
    struct arena texts;
    arena_init(&texts);
    standing_init(&s);
    standing_init(&back);
    s.position = "42";
    s.paused = true;
    s.delivered = 7;
    s.lag_seconds = 1.5;
    s.slot_retained_bytes = 0;
    back.lag_bytes = 5;
    back.detail = "old";
    json_t *j = standing_json(&s, some, SOME);
    assert_int_equal(json_object_size(j), SOME);
    assert_true(json_is_null(json_object_get(j, "lag_bytes")));
    assert_string_equal(json_string_value(json_object_get(j, "detail")), "");
    standing_read(&back, j, some, SOME, &texts);
    json_decref(j);
    assert_string_equal(back.position, "42");
    assert_true(back.paused);
    assert_int_equal(back.delivered, 7);
    assert_true(back.lag_seconds == 1.5);
    assert_int_equal(back.slot_retained_bytes, 0);
    assert_int_equal(back.lag_bytes, 5);
    assert_string_equal(back.detail, "");
    arena_release(&texts);
}

/* A peer that is no relay of ours may send anything. */
static void strange_values(void **state)
{
    (void)state;
    struct standing s;
    struct arena texts;
    arena_init(&texts);
    standing_init(&s);
    json_t *j = json_pack("{s:i, s:s, s:[], s:s, s:{}}", "position", 5, "delivered", "7",
                          "lag_seconds", "paused", "true", "lag_bytes");
    standing_read(&s, j, some, SOME, &texts);
    json_decref(j);
    assert_string_equal(s.position, "");
    assert_false(s.paused);
    assert_int_equal(s.delivered, 0);
    assert_true(s.lag_seconds < 0);
    assert_int_equal(s.lag_bytes, -1);
    arena_release(&texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples),
        cmocka_unit_test(parts_are_a_label),
        cmocka_unit_test(every_metric_is_described_once),
        cmocka_unit_test(printed_and_read_back),
        cmocka_unit_test(strange_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
