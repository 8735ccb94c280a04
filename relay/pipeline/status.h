/*
 * Changes the state of a pipeline and what other threads see of it (struct pipeline_status). What
 * those threads call, pipeline_status and pipeline_request_stop, is declared in pipeline.h.
 *
 * Private to relay/pipeline; all of these are for the pipeline's thread. Nothing here fails.
 */
#pragma once

#include "base/slice.h"
#include "pipeline/state.h"

struct pipeline;

/* Enters a state, logs it and tells the store. `detail` says why, or is ""; it is copied, cut, and
 * control characters are escaped. Nothing happens if both are as before. The change must be allowed
 * (pipeline_state_may_follow; assert). */
void pipeline_enter(struct pipeline *p, enum pipeline_state state, const char *detail);

/* Enters the last state, STOPPED or FAILED; pipeline_run returns exit_code after this round. */
void pipeline_end(struct pipeline *p, enum pipeline_state state, int exit_code, const char *detail);

/* Stops at the first waiting event (state BLOCKED) and logs why, with the event's trace_of; both
 * texts are copied. */
void pipeline_block(struct pipeline *p, const char *why, const char *trace);

/* Tells the store the present state, if it does not know it yet; only people read it there. A store
 * that is busy is told in the next round. An error is ignored: if the store is broken, the next
 * save fails as well and is treated as a failure. */
void status_report(struct pipeline *p);

/* Sets the event position of the frontier; copied and cut. */
void status_position(struct pipeline *p, struct slice position);

/* Brings the metrics and the status up to date with what changes in every round of the loop. */
void status_update(struct pipeline *p);
