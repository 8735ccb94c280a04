/*
 * How many events of a pipeline were delivered to each topic. A topic may come from a column, so
 * their number is bounded: past TOPIC_COUNTS_MAX topics all others are counted together.
 *
 * One thread adds, another may read at any time, without a lock. A reader may miss a topic that is
 * just being added.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

enum { TOPIC_COUNTS_MAX = 100 };

struct topic_counts;

/* Never NULL: ends the process if there is no memory. */
struct topic_counts *topic_counts_new(void);
void topic_counts_free(struct topic_counts *t); /* NULL is fine; nobody reads or adds any more */

/* Counts one event. `topic` is copied when it is new. */
void topic_counts_add(struct topic_counts *t, struct slice topic);

/* Appends a sample `metric{LABELS,topic="..."} N` for each topic (labels: such as
 * pipeline="orders"), in Prometheus' text format, and with topic="" what is counted together. NULL:
 * nothing. */
void topic_counts_write(struct topic_counts *t, const char *metric, const char *labels,
                        struct buf *out);
