/*
 * The last hour of each pipeline, in memory: a sample every 15 seconds, 240 of them, 20 bytes each.
 * Example: an operator opens the console after an alert and sees that the lag began to grow twenty
 * minutes ago, when the rate out went to zero.
 *
 * Main thread only. Memory grows with the number of pipelines only; names that are gone are
 * forgotten. Nothing fails.
 */
#pragma once

#include "base/clock.h"
#include "daemon/report.h"
#include <jansson.h>

enum { HISTORY_SAMPLES = 240 };
#define HISTORY_EVERY_US (15 * US_PER_SECOND)

struct history;

struct history *history_new(void);
void history_free(struct history *h); /* NULL is fine */

/* Adds a sample of each pipeline, taken at r->now_us, if the last one is HISTORY_EVERY_US old; true
 * if it did. A pipeline that is not in the report any more is forgotten. */
bool history_take(struct history *h, const struct report *r);

/* When the next sample is due; monotonic. */
int64_t history_due_us(const struct history *h);

/* Events read and delivered a second, over the last sample; -1: not known yet. */
void history_rates(const struct history *h, const char *pipeline, double *ret_read,
                   double *ret_delivered);

/* {"every_seconds", "lag_seconds": [...], "pending_events", "lag_bytes", "read_per_second",
 * "delivered_per_second"}, the oldest sample first, null where a value was not known. Of an unknown
 * pipeline the lists are empty. The caller's. */
json_t *history_json(const struct history *h, const char *pipeline);
