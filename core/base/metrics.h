/*
 * Counters and gauges of one pipeline, written by its thread, read by the admin port: atomics,
 * nothing else is shared. Names and meanings: contract.md, "Metrics".
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include <stdatomic.h>
#include <stdint.h>

/* One line a metric: field, Prometheus name without "commitrelay_", type, help. The reference is
 * printed from it. */
#define METRICS(X)                                                                               \
    X(events_read, "events_read_total", "counter", "Events read from the source")                \
    X(events_delivered, "events_delivered_total", "counter", "Events the sink has acknowledged") \
    X(bytes_delivered, "bytes_delivered_total", "counter", "Payload bytes acknowledged")         \
    X(retries, "retries_total", "counter", "Tries again after a failure of database or sink")    \
    X(dead_letters, "dead_letters", "gauge", "Dead letters stored for this pipeline")            \
    X(parked_keys, "parked_keys", "gauge", "Keys held back behind a dead letter")                \
    X(in_flight_events, "in_flight_events", "gauge", "Events read and not yet acknowledged")     \
    X(in_flight_bytes, "in_flight_bytes", "gauge", "Bytes of events read and not acknowledged")  \
    X(breaker_state, "breaker_state", "gauge", "Circuit breaker: 0 closed, 1 half-open, 2 open") \
    X(pending_events, "pending_events", "gauge", "Events in the outbox not yet delivered")       \
    X(state, "pipeline_state", "gauge", "Pipeline state; `reference states` names the numbers")

enum { METRICS_ERROR_CLASSES = 5 };
enum { METRICS_DELIVERY_BUCKETS = 16 };

struct metrics {
#define METRICS_FIELD(field, name, type, help) _Atomic int64_t field;
    METRICS(METRICS_FIELD)
#undef METRICS_FIELD
    _Atomic int64_t failures[METRICS_ERROR_CLASSES]; /* by enum error_class */
    _Atomic int64_t lag_us;
    _Atomic int64_t last_event_us; /* wall clock; 0 = never */
    _Atomic int64_t last_save_us;
    _Atomic int64_t lag_bytes;           /* CDC; -1 = not a CDC pipeline */
    _Atomic int64_t slot_retained_bytes; /* CDC; -1 = not a CDC pipeline */
    _Atomic int64_t slot_limit_s; /* CDC: until the slot is lost; -1 = never as it grows now */
    /* Commit to acknowledged: cumulative counts are made when rendering. */
    _Atomic int64_t delivery_bucket[METRICS_DELIVERY_BUCKETS + 1];
    _Atomic int64_t delivery_sum_us, delivery_count;
};

void metrics_init(struct metrics *m);
void metrics_add(_Atomic int64_t *counter, int64_t n);
void metrics_set(_Atomic int64_t *gauge, int64_t v);
int64_t metrics_get(_Atomic int64_t *value);
void metrics_delivery(struct metrics *m, int64_t latency_us, int64_t events);

/* The text exposition of n pipelines, format 0.0.4, HELP and TYPE once a metric. */
void metrics_render(struct buf *out, struct metrics *const *metrics, const char *const *pipelines,
                    size_t n);

/* The list of all metrics for `commitrelay reference metrics`, Markdown. */
void metrics_reference(struct buf *out);
