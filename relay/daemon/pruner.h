/*
 * source.prune of a running pipeline: a thread with a connection of its own that prunes the table
 * now and then. Whatever it meets is logged and tried again at its next time; it never stops the
 * pipeline, and never waits for it.
 */
#pragma once

#include "base/error.h"
#include "base/metrics.h"
#include "config/config.h"

struct audit;
struct pruner;

/* Starts the thread; *ret is NULL if the pipeline has no source.prune. `metrics` is also the
 * pipeline's: its state is read (a relay that only stands by does not prune), and what is pruned is
 * counted there; runs that removed rows are noted in `audit` (may be NULL). All of them outlive the
 * pruner. RETRY: no thread can be had. */
int pruner_start(const struct config *c, const struct conf_pipeline *p, struct metrics *metrics,
                 struct audit *audit, struct pruner **ret, struct error *err) MUST_CHECK;

/* Ends the thread and waits for that, about a second at most. NULL is fine. */
void pruner_end(struct pruner *p);
