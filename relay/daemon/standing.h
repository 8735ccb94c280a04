/*
 * How a pipeline stands: a record of plain values (struct standing) and one table that describes
 * all its fields. `/status`, `/metrics` and `commitrelay status` are printed from the table, and
 * the command `status` reads a daemon's `/status` through it. To add a figure, add a line to the
 * table and the line of code that sets it.
 *
 * No I/O, no locks. Any thread, on its own record.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/metrics.h"
#include "contract/source.h"
#include <jansson.h>

/* name: the member of the record, the key in JSON and, with "commitrelay_" before it, the metric.
 * The name says the unit.
 *
 * type: TEXT (borrowed; "" means none), FLAG, WHOLE or REAL.
 *
 * unknown: what is shown while the value is not known. A text is not known if it is "", a number if
 * it is negative.
 *   NULL_ABSENT  null in JSON; the metric has no sample
 *   NULL_ZERO    null in JSON; the metric is 0
 *   SHOWN        the value is always known
 *
 * metric: GAUGE, COUNTER or NONE.
 *
 * help: what it means, for the reference of the metrics. */
#define STANDING(X)                                                                                \
    X(name, TEXT, SHOWN, NONE, "Name of the pipeline")                                             \
    X(part, TEXT, NULL_ABSENT, NONE, "Its shard, k/N")                                             \
    X(state, TEXT, SHOWN, NONE, "State; `reference states` explains each")                         \
    X(detail, TEXT, SHOWN, NONE, "Why it is in that state")                                        \
    X(since, TEXT, NULL_ABSENT, NONE, "When the state was entered (RFC 3339)")                     \
    X(store, TEXT, NULL_ABSENT, NONE, "Where cursor and dead letters are kept")                    \
    X(locked, FLAG, SHOWN, NONE, "Some relay holds the pipeline's lock")                           \
    X(holder, TEXT, NULL_ABSENT, NONE, "Which relay holds it")                                     \
    X(paused, FLAG, SHOWN, NONE, "An operator paused it")                                          \
    X(source, TEXT, NULL_ABSENT, NONE, "What is read, and where")                                  \
    X(sink, TEXT, NULL_ABSENT, NONE, "What it is sent to, and where")                              \
    X(position, TEXT, NULL_ABSENT, NONE, "Event position behind which all is delivered")           \
    X(delivered, WHOLE, SHOWN, NONE, "Running delivery number, over all starts")                   \
    X(epoch, WHOLE, SHOWN, NONE, "How often a relay has taken the pipeline over")                  \
    X(saved_at, TEXT, NULL_ABSENT, NONE, "When the cursor was last saved (RFC 3339)")              \
    X(events_per_second, REAL, NULL_ABSENT, NONE, "Events delivered, over the last minute")        \
    X(held_up, TEXT, NULL_ABSENT, NONE, "What holds it up")                                        \
    X(progress, TEXT, NULL_ABSENT, NONE, "Long work under way")                                    \
    X(warning, TEXT, NULL_ABSENT, NONE, "What will want an operator")                              \
    X(breaker, TEXT, SHOWN, NONE, "Circuit breaker of the sink")                                   \
    X(slot_limit_bytes, WHOLE, NULL_ABSENT, NONE, "WAL at which the slot is lost (CDC)")           \
    X(slot_lost, FLAG, SHOWN, NONE, "The slot is gone, and with it changes (CDC)")                 \
    X(order, WHOLE, SHOWN, NONE, "Number of the operator's last order")                            \
    X(order_answer, TEXT, NULL_ABSENT, NONE, "What became of that order")                          \
    X(problem, TEXT, NULL_ABSENT, NONE, "Why `status` could not see everything")                   \
    X(events_read_total, WHOLE, SHOWN, COUNTER, "Events read from the source")                     \
    X(events_delivered_total, WHOLE, SHOWN, COUNTER, "Events the sink has acknowledged")           \
    X(bytes_delivered_total, WHOLE, SHOWN, COUNTER, "Payload bytes acknowledged")                  \
    X(retries_total, WHOLE, SHOWN, COUNTER, "Tries again after a failure of database or sink")     \
    X(pruned_rows_total, WHOLE, NULL_ABSENT, COUNTER, "Rows that source.prune has removed")        \
    X(dead_letters, WHOLE, NULL_ABSENT, GAUGE, "Dead letters stored for this pipeline")            \
    X(parked_keys, WHOLE, SHOWN, GAUGE, "Keys held back behind a dead letter")                     \
    X(parked_events, WHOLE, SHOWN, NONE, "Events that wait behind those dead letters")             \
    X(in_flight_events, WHOLE, SHOWN, GAUGE, "Events read and not yet acknowledged")               \
    X(in_flight_bytes, WHOLE, SHOWN, GAUGE, "Bytes of events read and not acknowledged")           \
    X(breaker_state, WHOLE, SHOWN, GAUGE, "Circuit breaker: 0 closed, 1 half-open, 2 open")        \
    X(pending_events, WHOLE, NULL_ZERO, GAUGE, "Events in the outbox not yet delivered")           \
    X(pipeline_state, WHOLE, SHOWN, GAUGE, "Pipeline state; `reference states` names the numbers") \
    X(lag_seconds, REAL, NULL_ABSENT, GAUGE, "Age of the oldest undelivered event")                \
    X(lag_bytes, WHOLE, NULL_ABSENT, GAUGE, "WAL not yet confirmed (CDC)")                         \
    X(slot_retained_bytes, WHOLE, NULL_ABSENT, GAUGE, "WAL the slot keeps (CDC)")                  \
    X(slot_limit_seconds, WHOLE, NULL_ABSENT, GAUGE,                                               \
      "Until the slot is lost, as its WAL grows now (CDC; absent: never)")                         \
    X(last_event_timestamp_seconds, REAL, SHOWN, GAUGE, "When the last event was acknowledged")    \
    X(last_save_timestamp_seconds, REAL, SHOWN, GAUGE, "When the cursor was last saved")           \
    X(last_prune_timestamp_seconds, REAL, NULL_ABSENT, GAUGE,                                      \
      "When source.prune last ran to its end")

typedef const char *standing_TEXT;
typedef bool standing_FLAG;
typedef int64_t standing_WHOLE;
typedef double standing_REAL;

struct standing {
#define STANDING_MEMBER(name, type, unknown, metric, help) standing_##type name;
    STANDING(STANDING_MEMBER)
#undef STANDING_MEMBER
};

enum standing_field {
#define STANDING_FIELD(name, type, unknown, metric, help) STANDING_##name,
    STANDING(STANDING_FIELD)
#undef STANDING_FIELD
        STANDING_FIELDS
};

/* Sets every field to "not known", or to zero where it is always known. */
void standing_init(struct standing *s);

/* Copies what a source has measured. The texts are borrowed from *lag. */
void standing_take_lag(struct standing *s, const struct source_lag *lag);

/* An object with the n fields, in this order. The caller owns it (json_decref). */
json_t *standing_json(const struct standing *s, const enum standing_field *fields, size_t n);

/* Appends the labels of its samples: pipeline="...", and of a shard part="...". Such names need no
 * escaping. */
void standing_labels(struct buf *out, const char *name, const char *part);

/* Reads the n fields from such an object. A text that is missing becomes ""; a number that is
 * missing or null keeps its value. Texts are copied into `texts`, without control characters,
 * because they are shown on a terminal. */
void standing_read(struct standing *s, const json_t *object, const enum standing_field *fields,
                   size_t n, struct arena *texts);

/* Appends all metrics of n pipelines in Prometheus's text format 0.0.4. */
void standing_metrics(struct buf *out, const struct standing *pipelines,
                      struct metrics *const *metrics, size_t n);

/* Appends the table of these metrics as Markdown, for `commitrelay reference metrics`. */
void standing_metrics_reference(struct buf *out);
