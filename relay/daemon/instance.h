/*
 * One run of one pipeline, or of one shard of it, on a thread of its own, with the configuration
 * that it was made from. A pipeline that is restarted is a new instance. The main thread calls all
 * functions here; the instance's own thread is inside instance.c.
 */
#pragma once

#include "base/error.h"
#include "base/metrics.h"
#include "config/config.h"
#include "daemon/membership.h"
#include "pipeline/pipeline.h"

/* A loaded configuration with a count of its users. After a reload the old one must live as long as
 * an instance that was made from it. */
struct generation;

/* Takes the configuration over. The caller has one reference. */
struct generation *generation_new(struct config *take_config);
struct generation *generation_ref(struct generation *g);
void generation_unref(struct generation *g); /* NULL is fine */
const struct config *generation_config(const struct generation *g);

struct instance;

struct instance_conf {
    struct generation *generation;
    const struct conf_pipeline *pipeline; /* of that generation */
    const char *part;                     /* STORE_WHOLE or a shard; copied */
    struct membership *membership;        /* of a shard, which takes a reference; else NULL */
    struct metrics *metrics;              /* outlives the instance */
    struct audit *audit;                  /* the same; may be NULL */
    bool until_idle;
};

/* Makes the pipeline without starting it, and so finds mistakes in its configuration before
 * anything that runs is touched. No I/O. ERROR: of pipeline_new. `of` is copied. */
int instance_new(const struct instance_conf *of, struct instance **ret,
                 struct error *err) MUST_CHECK;
/* Only for one that was not started or has ended; else it waits for the end. NULL is fine. */
void instance_free(struct instance *i);

/* Starts the thread, which writes to end_fd (an eventfd) when it ends. FATAL/70 if the system gives
 * no thread; the instance has then ended. */
int instance_start(struct instance *i, int end_fd, struct error *err) MUST_CHECK;
void instance_stop(struct instance *i); /* asks it to drain and end; may be called again */

bool instance_ended(const struct instance *i);
int instance_exit_code(const struct instance *i); /* only once it has ended */

/* Gives the pipeline an order, as pipeline_order does. TAKEN: *ret_id is set, and pipeline_status
 * shows the answer under it. BUSY: the order before was not taken yet. GONE: it has ended. */
enum instance_order { INSTANCE_TAKEN, INSTANCE_BUSY, INSTANCE_GONE };
enum instance_order instance_order(struct instance *i, enum store_command command,
                                   const char *argument, const char *who, int64_t *ret_id);

void instance_status(struct instance *i,
                     struct pipeline_status *ret);     /* the last one if it ended */
int64_t instance_started_us(const struct instance *i); /* monotonic; 0: not started */
/* The store as assembly_store_shown shows it. Lives as long as the instance. */
const char *instance_store(const struct instance *i);

/* Would a pipeline made from `conf` of `g` be the same? Then a reload leaves this one alone. */
bool instance_same(const struct instance *i, const struct generation *g,
                   const struct conf_pipeline *conf);
