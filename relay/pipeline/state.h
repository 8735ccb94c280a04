/*
 * The states of a pipeline, with one sentence for each: `commitrelay reference states` prints them,
 * `status` and the metric commitrelay_pipeline_state show them. The metric has the number, so the
 * order must stay as it is. Nothing here fails; any thread may call these.
 */
#pragma once

#include "base/buf.h"
#include <stdbool.h>

#define PIPELINE_STATES(X)                                                                  \
    X(STARTING, "starting", "connecting, checking and loading the stored cursor")           \
    X(WAITING, "waiting", "another relay holds this pipeline's lock; this one stands by")   \
    X(RUNNING, "running", "reading and delivering")                                         \
    X(RETRYING, "retrying", "something outside failed; waiting before the next try")        \
    X(PAUSED, "paused", "an operator paused it; nothing is read until `resume`")            \
    X(BLOCKED, "blocked", "an operator must act; it tries again slowly, or after `resume`") \
    X(DRAINING, "draining", "stopping: settling what is in flight")                         \
    X(STOPPED, "stopped", "ended in good order")                                            \
    X(FAILED, "failed", "ended by an error that trying again cannot mend")

enum pipeline_state {
#define STATE_ENUM(id, name, text) PIPELINE_##id,
    PIPELINE_STATES(STATE_ENUM)
#undef STATE_ENUM
};

/* "starting", "running" and so on; static. */
const char *pipeline_state_name(enum pipeline_state state);

/* May a pipeline go from one state to the other? Asserted at each change. True for the same state.
 */
bool pipeline_state_may_follow(enum pipeline_state from, enum pipeline_state to);

/* Adds the table of all states, as Markdown. */
void pipeline_state_reference(struct buf *out);
