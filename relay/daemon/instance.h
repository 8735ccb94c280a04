/*
 * One run of one pipeline on a thread of its own, with the configuration it was made from. A
 * pipeline that is restarted is a new instance. Main thread only, but for what the .c file says.
 */
#pragma once

#include "base/error.h"
#include "base/metrics.h"
#include "config/config.h"
#include "pipeline/pipeline.h"

/* A loaded configuration, kept as long as an instance made from it lives. */
struct generation;

struct generation *generation_new(struct config *take_config); /* one reference, the caller's */
struct generation *generation_ref(struct generation *g);
void generation_unref(struct generation *g); /* NULL is fine */
const struct config *generation_config(const struct generation *g);

struct instance;

/* No I/O on the outside world: a mistake shows here, before anything that runs is touched. */
int instance_new(struct generation *g, const struct conf_pipeline *conf, struct metrics *metrics,
                 bool until_idle, struct instance **ret, struct error *err) MUST_CHECK;
void instance_free(struct instance *i); /* not started, or ended; NULL is fine */

/* Starts the thread; `end_fd` (an eventfd) is written when it has ended. FATAL/70. */
int instance_start(struct instance *i, int end_fd, struct error *err) MUST_CHECK;
void instance_stop(struct instance *i); /* asks for it; again does no harm */

bool instance_ended(const struct instance *i);    /* its thread has nothing left to do */
int instance_exit_code(const struct instance *i); /* of one that has ended */

/* As pipeline_order; GONE: its thread has ended. */
enum instance_order { INSTANCE_TAKEN, INSTANCE_BUSY, INSTANCE_GONE };
enum instance_order instance_order(struct instance *i, enum store_command command,
                                   const char *argument, int64_t *ret_id);

void instance_status(struct instance *i, struct pipeline_status *ret);
int64_t instance_started_us(const struct instance *i);
const char *instance_store(const struct instance *i); /* as of assembly_store_shown */

/* Would `conf` of `g` run the same way? */
bool instance_same(const struct instance *i, const struct generation *g,
                   const struct conf_pipeline *conf);
