/*
 * Counters and gauges of one pipeline, written by its thread, read by the admin port: atomics,
 * nothing else is shared. Their names and meanings: daemon/standing.h.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include <stdatomic.h>
#include <stdint.h>

enum { METRICS_ERROR_CLASSES = 5 };
enum { METRICS_DELIVERY_BUCKETS = 16 };

struct metrics {
    _Atomic int64_t events_read, events_delivered, bytes_delivered, retries;
    _Atomic int64_t dead_letters, parked_keys;
    _Atomic int64_t in_flight_events, in_flight_bytes;
    _Atomic int64_t breaker_state;                   /* enum breaker_state */
    _Atomic int64_t state;                           /* enum pipeline_state */
    _Atomic int64_t failures[METRICS_ERROR_CLASSES]; /* by enum error_class */
    _Atomic int64_t lag_us;        /* age of the oldest undelivered event; 0: there is none */
    _Atomic int64_t last_event_us; /* wall clock; 0 = never */
    _Atomic int64_t last_save_us;
    /* Commit to acknowledged: cumulative counts are made when rendering. */
    _Atomic int64_t delivery_bucket[METRICS_DELIVERY_BUCKETS + 1];
    _Atomic int64_t delivery_sum_us, delivery_count;
};

void metrics_init(struct metrics *m);
void metrics_add(_Atomic int64_t *counter, int64_t n);
void metrics_set(_Atomic int64_t *gauge, int64_t v);
int64_t metrics_get(_Atomic int64_t *value);
void metrics_delivery(struct metrics *m, int64_t latency_us, int64_t events);

/* The samples of one pipeline, text exposition format 0.0.4. */
void metrics_add_failures(struct buf *out, struct metrics *m, const char *pipeline);
void metrics_add_deliveries(struct buf *out, struct metrics *m, const char *pipeline);
