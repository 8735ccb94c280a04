/*
 * The side of the outbox in a `verify`: the rows of the range, each with the digest of the payload
 * that it must have at the destination. Main thread.
 */
#pragma once

#include "cli/verify_sort.h"
#include "cli/verify_topics.h"
#include "config/config.h"
#include "contract/sink.h"
#include "contract/source.h"

/* Where the events should be. */
struct verify_sink {
    const struct sink_ops *ops; /* NULL: payloads are not compared */
    void *sink;                 /* open */
    const struct format_ops *format;
};

/* Writes the digest of a payload as it lies at the destination. A null payload has one, too. */
void verify_digest(const struct verify_sink *sink, struct slice payload,
                   char out[VERIFY_DIGEST + 1]);

/* Reads the rows of the range, which outlives the call, and adds them. `p`: the pipeline with a
 * source that can read ranges. `total`: how many there are, for the progress. `read`: the topics
 * that were read; *ret_unread (empty before) gets the first one that rows lead to and that is none
 * of them. */
int verify_rows(const struct conf_pipeline *p, const struct source_range *range,
                const struct verify_sink *sink, int64_t total, int stop_fd, struct verify_sort *to,
                const struct verify_topics *read, struct buf *ret_unread,
                struct error *err) MUST_CHECK;
