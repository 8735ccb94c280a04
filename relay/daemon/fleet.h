/*
 * All pipelines of the process, by name: which run, which are being replaced, which have failed.
 * One that fails takes no other with it. Metrics of a name live on when its pipeline is restarted.
 * Main thread only.
 */
#pragma once

#include "daemon/instance.h"
#include "daemon/report.h"

struct fleet;

struct fleet_conf {
    int end_fd;              /* eventfd that every thread writes to at its end */
    const char *const *only; /* names to run; none = all */
    size_t only_count;
    bool until_idle;
};

struct fleet *fleet_new(const struct fleet_conf *conf); /* `only` outlives it */
void fleet_free(struct fleet *f);                       /* all have ended; NULL is fine */

/* Makes the fleet what the configuration says: new pipelines are started, changed or failed ones
 * restarted after they have drained, others left alone, those no longer named stopped. All or
 * nothing: on -1 nothing has changed. */
int fleet_apply(struct fleet *f, struct generation *g, struct error *err) MUST_CHECK;

void fleet_reap(struct fleet *f); /* after end_fd was readable: starts what waited for an end */
void fleet_stop(struct fleet *f); /* all of them, for good */
bool fleet_ended(const struct fleet *f);
int fleet_exit_code(const struct fleet *f); /* of the first that failed; 0 if none did */

/* To the pipeline of that name; GONE: there is none, or it has ended. */
enum instance_order fleet_order(struct fleet *f, const char *name, enum store_command command,
                                const char *argument, int64_t *ret_id);

/* A row a pipeline; valid until the next call of any of these. */
const struct report_row *fleet_rows(struct fleet *f, size_t *ret_count);
