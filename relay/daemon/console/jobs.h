/*
 * Questions that may wait for a server, answered one after the other by one helper thread. The
 * thread is started with the first question. All functions are for the main thread.
 */
#pragma once

#include "base/poll_set.h"
#include "daemon/admin_request.h"
#include "daemon/console/stored.h"
#include "daemon/instance.h"

enum { JOBS_MAX = 16 };

struct jobs;

struct jobs *jobs_new(void);
/* Ends what waits and frees all; requests that were held get no answer any more. NULL is fine. */
void jobs_free(struct jobs *j);

/* Holds the request until the question is answered, or answers 503 at once if too many wait. What
 * `ask` points to is copied, or lives as long as the generation `g`, which is kept meanwhile, and
 * the audit log, which outlives the jobs. */
void jobs_add(struct jobs *j, struct admin_request *r, struct generation *g,
              const struct stored_ask *ask);
/* The same for `check --connect` of a file. */
void jobs_add_check(struct jobs *j, struct admin_request *r, const char *file);

/* The request is gone: what it asked is not answered any more, and stops if that is under way. An
 * edit that is under way is made. */
void jobs_forget(struct jobs *j, const struct admin_request *r);

void jobs_poll(const struct jobs *j, struct poll_set *set);
void jobs_run(struct jobs *j); /* answers what is done, begins the next; never waits */
