/*
 * All pipelines of the process, by name and part (a shard each of one that is divided): which ones
 * run, are being replaced, or have failed. If one fails, the others go on. The metrics belong to
 * the name, so counters go on when a pipeline is restarted. Main thread only.
 */
#pragma once

#include "daemon/instance.h"
#include "daemon/report.h"

struct fleet;

struct fleet_conf {
    int end_fd;              /* eventfd, to which every pipeline's thread writes when it ends */
    const char *const *only; /* names to run; none = all */
    size_t only_count;
    bool until_idle;     /* as of pipeline_parts */
    struct audit *audit; /* the same; outlives the fleet */
};

/* Freed with fleet_free, before which all pipelines must have ended. conf->only outlives it. */
struct fleet *fleet_new(const struct fleet_conf *conf);
void fleet_free(struct fleet *f); /* NULL is fine */

/* Makes the fleet as the configuration says: new pipelines are started; changed and failed ones are
 * drained and restarted; those that are not named any more are stopped; the others go on
 * undisturbed. All or nothing: on ERROR (of pipeline_new; CONFIG if `only` names an unknown
 * pipeline) nothing has changed. Keeps references of `g` for as long as they are needed. */
int fleet_apply(struct fleet *f, struct generation *g, struct error *err) MUST_CHECK;

/* To be called when end_fd was readable: starts the pipelines that waited for their predecessor's
 * end, and forgets those that were to be stopped. */
void fleet_reap(struct fleet *f);
void fleet_stop(struct fleet *f);        /* asks all pipelines to stop, for good */
bool fleet_ended(const struct fleet *f); /* none runs and none waits to be started */
/* The exit code of the pipeline that failed first; 0 if none failed. */
int fleet_exit_code(const struct fleet *f);

/* Gives an order to the pipeline of that name: see instance_order. GONE: there is none, or it has
 * ended, or it is divided into shards. */
enum instance_order fleet_order(struct fleet *f, const char *name, enum store_command command,
                                const char *argument, const char *who, int64_t *ret_id);

/* One row for each pipeline, or each of its shards. Valid until the next call of a function with
 * this fleet. */
const struct report_row *fleet_rows(struct fleet *f, size_t *ret_count);
