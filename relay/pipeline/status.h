/*
 * The state of a pipeline, and what other threads see of it (struct pipeline_status). The public
 * part, pipeline_status and pipeline_request_stop, is in pipeline.h. Private to relay/pipeline;
 * all of these are for the pipeline's thread.
 */
#pragma once

#include "base/slice.h"
#include "pipeline/state.h"

struct pipeline;

/* Enters a state, logs it and tells the store. `detail` says why, or "". Nothing happens when both
 * are the same as before. */
void pipeline_enter(struct pipeline *p, enum pipeline_state state, const char *detail);

/* Enters the last state; pipeline_run returns exit_code after this round. */
void pipeline_end(struct pipeline *p, enum pipeline_state state, int exit_code, const char *detail);

/* Tells the store a state that it does not know yet. For people only: if the store cannot take it,
 * the next save will say so. One that is busy is asked again with the next round. */
void status_report(struct pipeline *p);

/* The event position of the frontier. */
void status_position(struct pipeline *p, struct slice position);

/* What changes with every round. */
void status_update(struct pipeline *p);
