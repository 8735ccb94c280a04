/*
 * The counters and gauges of one pipeline. relay/daemon/standing.h says under which names they are
 * shown and what they mean.
 *
 * The pipeline's thread writes them, the thread of the admin port reads them at any time; each is
 * an atomic, so no lock is needed. The struct belongs to whoever starts the pipeline, and outlives
 * it. Nothing here fails.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/topic_counts.h"
#include <stdatomic.h>
#include <stdint.h>

enum { METRICS_ERROR_CLASSES = 5 };     /* without BUSY, which is no failure */
enum { METRICS_DELIVERY_BUCKETS = 16 }; /* without the last one, +Inf */

enum metrics_outcome { METRICS_COMMITTED, METRICS_FAILED };

struct metrics {
    _Atomic int64_t events_read, events_delivered, bytes_delivered, retries;
    _Atomic int64_t dead_letters, parked_keys, parked_events;
    _Atomic int64_t in_flight_events, in_flight_bytes;
    _Atomic int64_t breaker_state;                   /* enum breaker_state */
    _Atomic int64_t state;                           /* enum pipeline_state */
    _Atomic int64_t failures[METRICS_ERROR_CLASSES]; /* by enum error_class */
    _Atomic int64_t lag_us;        /* age of the oldest undelivered event; 0: there is none */
    _Atomic int64_t last_event_us; /* wall clock; 0 = never */
    _Atomic int64_t last_save_us;  /* as last_event_us */
    /* Kafka transactions of exactly_once: by outcome, how many split a transaction of the database,
     * and how long the commits took. */
    _Atomic int64_t transactions[2]; /* by enum metrics_outcome */
    _Atomic int64_t split_transactions, transaction_sum_us;
    _Atomic int64_t pruned_rows, last_prune_us; /* source.prune; last_prune_us: as last_event_us */
    /* A histogram of the time from commit to acknowledgement. Each bucket counts its own events
     * only; the sums that Prometheus wants are made when the text is made. */
    _Atomic int64_t delivery_bucket[METRICS_DELIVERY_BUCKETS + 1];
    _Atomic int64_t delivery_sum_us, delivery_count;
    struct topic_counts *topics; /* belongs to who set it, before the thread starts; NULL: events
                                    are not counted by topic */
};

/* Sets all to 0. Before the pipeline's thread starts. */
void metrics_init(struct metrics *m);

/* Change or read one value. A reader may see one value newer than another: the order of writes to
 * different values is not kept. */
void metrics_add(_Atomic int64_t *counter, int64_t n);
void metrics_set(_Atomic int64_t *gauge, int64_t v);
int64_t metrics_get(_Atomic int64_t *value);

/* `events` events took latency_us each from commit to acknowledgement; below 0 counts as 0. */
void metrics_delivery(struct metrics *m, int64_t latency_us, int64_t events);

/* A commit of a Kafka transaction took so long, and ended so. */
void metrics_transaction(struct metrics *m, enum metrics_outcome outcome, int64_t took_us);

/* Append the samples of one pipeline to `out`, in Prometheus' text exposition format 0.0.4, without
 * the lines HELP and TYPE. labels: what each sample has between its braces first, such as
 * pipeline="orders". */
void metrics_add_failures(struct buf *out, struct metrics *m, const char *labels);
void metrics_add_transactions(struct buf *out, struct metrics *m, const char *labels);
void metrics_add_split_transactions(struct buf *out, struct metrics *m, const char *labels);
void metrics_add_transaction_seconds(struct buf *out, struct metrics *m, const char *labels);
void metrics_add_topics(struct buf *out, struct metrics *m, const char *labels);
void metrics_add_deliveries(struct buf *out, struct metrics *m, const char *labels);
