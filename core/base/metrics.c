/* Counts what a pipeline does, and writes the samples that are more than one number. The atomics
 * are relaxed: each value is right by itself, but one text may show an event in one value and not
 * yet in another, which the next text corrects. */
#include "base/metrics.h"

#include <string.h>

/* Upper bounds, included: 1 ms to 5 minutes. */
static const int64_t bucket_bounds_us[METRICS_DELIVERY_BUCKETS] = {
    1000,   2500,    5000,    10000,   25000,    50000,    100000,   250000,
    500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 300000000};

void metrics_init(struct metrics *m)
{
    memset(m, 0, sizeof *m);
}

void metrics_add(_Atomic int64_t *counter, int64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void metrics_set(_Atomic int64_t *gauge, int64_t v)
{
    atomic_store_explicit(gauge, v, memory_order_relaxed);
}

int64_t metrics_get(_Atomic int64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

void metrics_delivery(struct metrics *m, int64_t latency_us, int64_t events)
{
    size_t i = 0;
    latency_us = latency_us < 0 ? 0 : latency_us;
    while (i < METRICS_DELIVERY_BUCKETS && latency_us > bucket_bounds_us[i]) {
        i++;
    }
    metrics_add(&m->delivery_bucket[i], events);
    metrics_add(&m->delivery_sum_us, latency_us * events);
    metrics_add(&m->delivery_count, events);
}

void metrics_transaction(struct metrics *m, enum metrics_outcome outcome, int64_t took_us)
{
    metrics_add(&m->transactions[outcome], 1);
    metrics_add(&m->transaction_sum_us, took_us);
}

void metrics_add_topics(struct buf *out, struct metrics *m, const char *labels)
{
    topic_counts_write(m->topics, "commitrelay_topic_events_delivered_total", labels, out);
}

void metrics_add_transactions(struct buf *out, struct metrics *m, const char *labels)
{
    static const char *const outcomes[] = {"committed", "failed"};
    for (int i = METRICS_COMMITTED; i <= METRICS_FAILED; i++) {
        buf_printf(out, "commitrelay_transactions_total{%s,outcome=\"%s\"} %lld\n", labels,
                   outcomes[i], (long long)metrics_get(&m->transactions[i]));
    }
}

void metrics_add_split_transactions(struct buf *out, struct metrics *m, const char *labels)
{
    buf_printf(out, "commitrelay_split_transactions_total{%s} %lld\n", labels,
               (long long)metrics_get(&m->split_transactions));
}

void metrics_add_transaction_seconds(struct buf *out, struct metrics *m, const char *labels)
{
    int64_t n = metrics_get(&m->transactions[METRICS_COMMITTED]) +
                metrics_get(&m->transactions[METRICS_FAILED]);
    buf_printf(out, "commitrelay_transaction_seconds_sum{%s} %.6f\n", labels,
               (double)metrics_get(&m->transaction_sum_us) / 1e6);
    buf_printf(out, "commitrelay_transaction_seconds_count{%s} %lld\n", labels, (long long)n);
}

void metrics_add_failures(struct buf *out, struct metrics *m, const char *labels)
{
    for (int c = ERROR_RETRY; c < METRICS_ERROR_CLASSES; c++) {
        buf_printf(out, "commitrelay_failures_total{%s,class=\"%s\"} %lld\n", labels,
                   error_class_name((enum error_class)c), (long long)metrics_get(&m->failures[c]));
    }
}

void metrics_add_deliveries(struct buf *out, struct metrics *m, const char *labels)
{
    int64_t sum = 0;
    for (size_t i = 0; i < METRICS_DELIVERY_BUCKETS; i++) {
        sum += metrics_get(&m->delivery_bucket[i]);
        buf_printf(out, "commitrelay_delivery_seconds_bucket{%s,le=\"%g\"} %lld\n", labels,
                   (double)bucket_bounds_us[i] / 1e6, (long long)sum);
    }
    sum += metrics_get(&m->delivery_bucket[METRICS_DELIVERY_BUCKETS]);
    buf_printf(out, "commitrelay_delivery_seconds_bucket{%s,le=\"+Inf\"} %lld\n", labels,
               (long long)sum);
    buf_printf(out, "commitrelay_delivery_seconds_sum{%s} %.6f\n", labels,
               (double)metrics_get(&m->delivery_sum_us) / 1e6);
    buf_printf(out, "commitrelay_delivery_seconds_count{%s} %lld\n", labels, (long long)sum);
}
