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

static void failures_by_class(void **state)
{
    (void)state;
    struct metrics m;
    CLEANUP(buf_release) struct buf out = {0};
    metrics_init(&m);
    metrics_add(&m.failures[ERROR_POISON], 2);
    metrics_add(&m.failures[ERROR_POISON], 3);
    metrics_add_failures(&out, &m, "pipeline=\"a\"");
    assert_string_equal(out.data, "commitrelay_failures_total{pipeline=\"a\",class=\"retry\"} 0\n"
                                  "commitrelay_failures_total{pipeline=\"a\",class=\"poison\"} 5\n"
                                  "commitrelay_failures_total{pipeline=\"a\",class=\"config\"} 0\n"
                                  "commitrelay_failures_total{pipeline=\"a\",class=\"fatal\"} 0\n");
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
    CLEANUP(buf_release) struct buf out = {0};
    metrics_add_deliveries(&out, &m, "pipeline=\"p\"");
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

static void transactions_by_outcome(void **state)
{
    (void)state;
    struct metrics m;
    metrics_init(&m);
    metrics_transaction(&m, METRICS_COMMITTED, 1500000);
    metrics_transaction(&m, METRICS_COMMITTED, 500000);
    metrics_transaction(&m, METRICS_FAILED, 250000);
    metrics_add(&m.split_transactions, 3);
    CLEANUP(buf_release) struct buf out = {0};
    metrics_add_transactions(&out, &m, "pipeline=\"p\"");
    metrics_add_transaction_seconds(&out, &m, "pipeline=\"p\"");
    metrics_add_split_transactions(&out, &m, "pipeline=\"p\"");
    assert_string_equal(out.data,
                        "commitrelay_transactions_total{pipeline=\"p\",outcome=\"committed\"} 2\n"
                        "commitrelay_transactions_total{pipeline=\"p\",outcome=\"failed\"} 1\n"
                        "commitrelay_transaction_seconds_sum{pipeline=\"p\"} 2.250000\n"
                        "commitrelay_transaction_seconds_count{pipeline=\"p\"} 3\n"
                        "commitrelay_split_transactions_total{pipeline=\"p\"} 3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_by_class),
        cmocka_unit_test(transactions_by_outcome),
        cmocka_unit_test(histogram_is_cumulative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
