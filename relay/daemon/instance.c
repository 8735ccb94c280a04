/* Runs a pipeline on a thread. The thread frees the pipeline when it ends, with its lock and its
 * connections, so that another relay can take over while this process goes on. */
#include "daemon/instance.h"

#include "base/log.h"
#include "base/memory.h"
#include "daemon/assembly.h"
#include "daemon/pruner.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct generation {
    struct config *config;
    size_t references;
};

struct instance {
    struct generation *generation;
    const struct conf_pipeline *conf;
    char part[PART_SIZE];
    struct membership *membership;
    struct metrics *metrics;
    struct audit *audit;
    struct buf store_url, store_shown;
    pthread_t thread;
    bool started;
    int64_t started_us;
    int end_fd;
    int exit_code; /* written by the thread before `ended`, read by others after it */
    _Atomic bool ended;

    pthread_mutex_t lock; /* protects `pipeline` and `last`, which the thread sets at its end */
    struct pipeline *pipeline;   /* NULL once the thread is about to free it */
    struct pipeline_status last; /* the status when it ended */
};

struct generation *generation_new(struct config *take_config)
{
    struct generation *g = memory_need(calloc(1, sizeof *g));
    *g = (struct generation){take_config, 1};
    return g;
}

struct generation *generation_ref(struct generation *g)
{
    g->references++;
    return g;
}

void generation_unref(struct generation *g)
{
    if (g && --g->references == 0) {
        config_free(g->config);
        free(g);
    }
}

const struct config *generation_config(const struct generation *g)
{
    return g->config;
}

int instance_new(const struct instance_conf *of, struct instance **ret, struct error *err)
{
    struct instance *i = memory_need(calloc(1, sizeof *i));
    pthread_mutex_init(&i->lock, NULL);
    i->generation = generation_ref(of->generation);
    i->conf = of->pipeline;
    snprintf(i->part, sizeof i->part, "%s", of->part);
    i->membership = membership_ref(of->membership);
    i->metrics = of->metrics;
    i->audit = of->audit;
    struct pipeline_parts parts;
    assembly_parts(&parts, &i->store_url, of->generation->config, of->pipeline);
    parts.store_env.part = i->part;
    parts.store_env.member = membership_of_store(i->membership);
    assembly_store_shown(&i->store_shown, buf_str(&i->store_url));
    parts.metrics = of->metrics;
    parts.audit = of->audit;
    parts.until_idle = of->until_idle;
    if (pipeline_new(&parts, &i->pipeline, err)) {
        i->pipeline = NULL;
        instance_free(i);
        return RESULT_ERROR;
    }
    pipeline_status(i->pipeline, &i->last);
    *ret = i;
    return RESULT_DONE;
}

void instance_free(struct instance *i)
{
    if (!i) {
        return;
    }
    if (i->started) {
        pthread_join(i->thread, NULL);
    }
    pipeline_free(i->pipeline);
    membership_unref(i->membership); /* its store is closed */
    generation_unref(i->generation);
    buf_release(&i->store_url);
    buf_release(&i->store_shown);
    pthread_mutex_destroy(&i->lock);
    free(i);
}

static void *thread_main(void *arg)
{
    struct instance *i = arg;
    uint64_t one = 1;
    struct pruner *pruner = NULL;
    struct error err;
    struct part part;
    /* A prune is for all shards, which it knows from the store: the first one's instance runs it.
     */
    bool first = part_parse(i->part, &part) && part.number == 0;
    if (first &&
        pruner_start(i->generation->config, i->conf, i->metrics, i->audit, &pruner, &err)) {
        log_error(LOG_WARN, i->conf->name, "source.prune does not run", &err);
    }
    i->exit_code = pipeline_run(i->pipeline);
    pruner_end(pruner);
    pthread_mutex_lock(&i->lock);
    struct pipeline *p = i->pipeline;
    pipeline_status(p, &i->last);
    i->pipeline = NULL;
    pthread_mutex_unlock(&i->lock);
    pipeline_free(p);
    int end_fd = i->end_fd;
    atomic_store(&i->ended, true);
    ssize_t n UNUSED = write(end_fd, &one, sizeof one);
    return NULL;
}

/* Makes it look like a pipeline that has failed, for the status and the exit code. */
static int start_failed(struct instance *i, int rc, struct error *err)
{
    i->last.state = PIPELINE_FAILED;
    i->last.since_us = clock_wall_us();
    i->exit_code = EXIT_CODE_BUG;
    atomic_store(&i->ended, true);
    pipeline_free(i->pipeline);
    i->pipeline = NULL;
    error_exit(
        err, ERROR_FATAL, EXIT_CODE_BUG, "daemon",
        "cannot start a thread for pipeline %s: %s; raise the limits of the process (TasksMax, RLIMIT_NPROC, memory)",
        i->conf->name, strerror(rc));
    snprintf(i->last.detail, sizeof i->last.detail, "%.500s", err->text);
    return RESULT_ERROR;
}

int instance_start(struct instance *i, int end_fd, struct error *err)
{
    sigset_t all, old;
    i->end_fd = end_fd;
    i->started_us = clock_mono_us();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&i->thread, NULL, thread_main, i);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc) {
        return start_failed(i, rc, err);
    }
    i->started = true;
    return RESULT_DONE;
}

void instance_stop(struct instance *i)
{
    pthread_mutex_lock(&i->lock);
    if (i->pipeline) {
        pipeline_request_stop(i->pipeline);
    }
    pthread_mutex_unlock(&i->lock);
}

enum instance_order instance_order(struct instance *i, enum store_command command,
                                   const char *argument, const char *who, int64_t *ret_id)
{
    enum instance_order rc = INSTANCE_GONE;
    pthread_mutex_lock(&i->lock);
    if (i->pipeline) {
        bool taken = pipeline_order(i->pipeline, command, argument, who, ret_id);
        rc = taken ? INSTANCE_TAKEN : INSTANCE_BUSY;
    }
    pthread_mutex_unlock(&i->lock);
    return rc;
}

bool instance_ended(const struct instance *i)
{
    return atomic_load(&i->ended);
}

int instance_exit_code(const struct instance *i)
{
    return i->exit_code;
}

void instance_status(struct instance *i, struct pipeline_status *ret)
{
    pthread_mutex_lock(&i->lock);
    if (i->pipeline) {
        pipeline_status(i->pipeline, ret);
    } else {
        *ret = i->last;
    }
    pthread_mutex_unlock(&i->lock);
}

int64_t instance_started_us(const struct instance *i)
{
    return i->started_us;
}

const char *instance_store(const struct instance *i)
{
    return buf_str(&i->store_shown);
}

bool instance_same(const struct instance *i, const struct generation *g,
                   const struct conf_pipeline *conf)
{
    CLEANUP(buf_release) struct buf url = {0};
    assembly_store_url(&url, g->config, conf);
    const struct config *old = i->generation->config;
    return strcmp(i->conf->fingerprint, conf->fingerprint) == 0 &&
           old->store.lease_us == g->config->store.lease_us &&
           old->dead_letters.keep_us == g->config->dead_letters.keep_us &&
           strcmp(buf_str(&i->store_url), buf_str(&url)) == 0;
}
