/*
 * Runs the pipeline of a `replay` on a thread of its own, shows how far it is, and ends it when a
 * signal comes. Main thread.
 */
#pragma once

#include "base/error.h"
#include "pipeline/pipeline.h"

/* How it ended. */
struct replay_end {
    struct pipeline_status status;
    int exit_code;        /* of the pipeline */
    int64_t dead_letters; /* events of this run that could not be delivered and were passed */
    int64_t left_out;     /* events of this run that the relay has not sent as they stand in their
                           * rows: see park_load */
    bool interrupted;     /* it was asked to stop before it came to its end */
};

/* `parts` has all but `metrics`. `stop_fd`: of interrupt_open. `total`: the events of the range,
 * for the progress. DONE, or an error before anything was sent. */
int replay_run(const struct pipeline_parts *parts, int64_t total, int stop_fd,
               struct replay_end *ret, struct error *err) MUST_CHECK;
