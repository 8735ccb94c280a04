/* Relaxed atomics on the way in, one consistent enough text on the way out. */
#include "base/metrics.h"

#include <string.h>

static const int64_t bucket_bounds_us[METRICS_DELIVERY_BUCKETS] = {
    1000,   2500,    5000,    10000,   25000,    50000,    100000,   250000,
    500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 300000000};

struct row {
    const char *name, *type, *help;
};

void metrics_init(struct metrics *m)
{
    memset(m, 0, sizeof *m);
    metrics_set(&m->lag_bytes, -1);
    metrics_set(&m->slot_retained_bytes, -1);
    metrics_set(&m->slot_limit_s, -1);
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

static void header(struct buf *out, const struct row *row)
{
    buf_printf(out, "# HELP commitrelay_%s %s\n# TYPE commitrelay_%s %s\n", row->name, row->help,
               row->name, row->type);
}

static const struct row row_failures = {"failures_total", "counter", "Failures by class"};
static const struct row row_lag = {"lag_seconds", "gauge", "Age of the oldest undelivered event"};
static const struct row row_lag_bytes = {"lag_bytes", "gauge", "WAL not yet confirmed (CDC)"};
static const struct row row_retained = {"slot_retained_bytes", "gauge", "WAL the slot keeps (CDC)"};
static const struct row row_limit = {
    "slot_limit_seconds", "gauge",
    "Until the slot is lost, as its WAL grows now (CDC; absent: never)"};
static const struct row row_last_event = {"last_event_timestamp_seconds", "gauge",
                                          "When the last event was acknowledged"};
static const struct row row_last_save = {"last_save_timestamp_seconds", "gauge",
                                         "When the cursor was last saved"};
static const struct row row_delivery = {"delivery_seconds", "histogram",
                                        "From the event's created_at to its acknowledgement"};

static void render_failures(struct buf *out, struct metrics *m, const char *pipeline)
{
    for (int c = ERROR_RETRY; c < METRICS_ERROR_CLASSES; c++) {
        buf_printf(out, "commitrelay_failures_total{pipeline=\"%s\",class=\"%s\"} %lld\n", pipeline,
                   error_class_name((enum error_class)c), (long long)metrics_get(&m->failures[c]));
    }
}

static void render_histogram(struct buf *out, struct metrics *m, const char *pipeline)
{
    int64_t sum = 0;
    for (size_t i = 0; i < METRICS_DELIVERY_BUCKETS; i++) {
        sum += metrics_get(&m->delivery_bucket[i]);
        buf_printf(out, "commitrelay_delivery_seconds_bucket{pipeline=\"%s\",le=\"%g\"} %lld\n",
                   pipeline, (double)bucket_bounds_us[i] / 1e6, (long long)sum);
    }
    sum += metrics_get(&m->delivery_bucket[METRICS_DELIVERY_BUCKETS]);
    buf_printf(out, "commitrelay_delivery_seconds_bucket{pipeline=\"%s\",le=\"+Inf\"} %lld\n",
               pipeline, (long long)sum);
    buf_printf(out, "commitrelay_delivery_seconds_sum{pipeline=\"%s\"} %.6f\n", pipeline,
               (double)metrics_get(&m->delivery_sum_us) / 1e6);
    buf_printf(out, "commitrelay_delivery_seconds_count{pipeline=\"%s\"} %lld\n", pipeline,
               (long long)sum);
}

static void render_value(struct buf *out, const char *name, const char *pipeline, double v)
{
    buf_printf(out, "commitrelay_%s{pipeline=\"%s\"} %.16g\n", name, pipeline, v);
}

/* A gauge in microseconds shown in seconds, or one that is absent while negative. */
static void render_scaled(struct buf *out, const struct row *row, struct metrics *const *metrics,
                          const char *const *pipelines, size_t n, size_t offset, double scale)
{
    header(out, row);
    for (size_t i = 0; i < n; i++) {
        _Atomic int64_t *value = (_Atomic int64_t *)(void *)((char *)metrics[i] + offset);
        int64_t v = metrics_get(value);
        if (v >= 0) {
            render_value(out, row->name, pipelines[i], (double)v / scale);
        }
    }
}

void metrics_render(struct buf *out, struct metrics *const *metrics, const char *const *pipelines,
                    size_t n)
{
    buf_add_str(out, "# HELP commitrelay_build_info Version of the running binary\n"
                     "# TYPE commitrelay_build_info gauge\n"
                     "commitrelay_build_info{version=\"" COMMITRELAY_VERSION "\"} 1\n");
#define METRICS_RENDER(field, name, type, help)                                         \
    header(out, &(struct row){name, type, help});                                       \
    for (size_t i = 0; i < n; i++) {                                                    \
        render_value(out, name, pipelines[i], (double)metrics_get(&metrics[i]->field)); \
    }
    METRICS(METRICS_RENDER)
#undef METRICS_RENDER
    header(out, &row_failures);
    for (size_t i = 0; i < n; i++) {
        render_failures(out, metrics[i], pipelines[i]);
    }
#define SCALED(row, field, scale) \
    render_scaled(out, row, metrics, pipelines, n, offsetof(struct metrics, field), scale)
    SCALED(&row_lag, lag_us, 1e6);
    SCALED(&row_lag_bytes, lag_bytes, 1);
    SCALED(&row_retained, slot_retained_bytes, 1);
    SCALED(&row_limit, slot_limit_s, 1);
    SCALED(&row_last_event, last_event_us, 1e6);
    SCALED(&row_last_save, last_save_us, 1e6);
#undef SCALED
    header(out, &row_delivery);
    for (size_t i = 0; i < n; i++) {
        render_histogram(out, metrics[i], pipelines[i]);
    }
}

void metrics_reference(struct buf *out)
{
    buf_add_str(out, "| metric | type | meaning |\n|---|---|---|\n"
                     "| `commitrelay_build_info` | gauge | Version of the running binary |\n");
#define METRICS_DOC(field, name, type, help) \
    buf_add_str(out, "| `commitrelay_" name "` | " type " | " help " |\n");
    METRICS(METRICS_DOC)
#undef METRICS_DOC
    const struct row *rows[] = {&row_failures, &row_lag,        &row_lag_bytes, &row_retained,
                                &row_limit,    &row_last_event, &row_last_save, &row_delivery};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_printf(out, "| `commitrelay_%s` | %s | %s |\n", rows[i]->name, rows[i]->type,
                   rows[i]->help);
    }
}
