/* The first look is as soon as the pipeline runs: a relay that is often restarted prunes too. */
#include "daemon/pruner.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/poll_set.h"
#include "config/conf_value.h"
#include "daemon/pruning.h"
#include "daemon/registry.h"
#include "pipeline/state.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* How often to look whether the pipeline runs yet. */
static const int64_t LOOK_EVERY_US = US_PER_SECOND / 2;

struct pruner {
    const struct config *config;
    const struct conf_pipeline *conf;
    struct metrics *metrics;
    struct audit *audit;
    struct prune_settings settings;
    pthread_t thread;
    int stop_fd;
    struct buf holders;     /* who held rows back at the last run */
    struct buf advice;      /* of the last run */
    struct error complaint; /* of the last run that failed; "" since one went well */
};

/* Waits; false once the pruner is to end. */
static bool wait_until(const struct pruner *p, int64_t mono_us)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_add(&set, p->stop_fd, POLLIN);
    poll_set_deadline(&set, mono_us);
    poll_set_wait(&set);
    return !set.fds[0].revents;
}

/* Does this relay hold the pipeline's lock? */
static bool may_work(const struct pruner *p)
{
    int64_t state = metrics_get(&p->metrics->state);
    return state == PIPELINE_RUNNING || state == PIPELINE_PAUSED || state == PIPELINE_RETRYING ||
           state == PIPELINE_BLOCKED;
}

/* The same advice is logged once. */
static void tell_advice(struct pruner *p, const struct pruning_result *r)
{
    if (r->advice.len > 0 && !slice_equal(buf_slice(&p->advice), buf_slice(&r->advice))) {
        log_write(LOG_WARN, p->conf->name, "prune: %s", buf_str(&r->advice));
    }
    buf_clear(&p->advice);
    buf_add_slice(&p->advice, buf_slice(&r->advice));
}

/* Told when other pipelines hold rows back than before. */
static void tell_held(struct pruner *p, const struct pruning_result *r)
{
    if (r->held.len > 0 && !slice_equal(buf_slice(&p->holders), buf_slice(&r->holders))) {
        log_write(LOG_WARN, p->conf->name, "prune: old rows are held back by %s",
                  buf_str(&r->held));
    }
    buf_clear(&p->holders);
    buf_add_slice(&p->holders, buf_slice(&r->holders));
}

static void tell_result(struct pruner *p, const struct pruning_result *r, int64_t began_us)
{
    if (r->removed > 0) {
        log_write(LOG_INFO, p->conf->name, "pruned %lld rows in %lld ms", (long long)r->removed,
                  (long long)((clock_mono_us() - began_us) / US_PER_MS));
    }
    tell_advice(p, r);
    tell_held(p, r);
    p->complaint.text[0] = '\0';
}

/* The same complaint is logged once. */
static void complain(struct pruner *p, const struct error *err)
{
    if (strcmp(err->text, p->complaint.text) != 0) {
        log_error(LOG_WARN, p->conf->name, "prune failed, and is tried again at its next time",
                  err);
    }
    p->complaint = *err;
}

static void tell_partition(void *ctx, const char *what)
{
    const struct pruner *p = ctx;
    log_write(LOG_INFO, p->conf->name, "prune: %s", what);
}

static void prune(struct pruner *p)
{
    CLEANUP(pruning_result_release) struct pruning_result r = {0};
    const struct prune_settings *s = &p->settings;
    const struct pruning what = {.config = p->config,
                                 .conf = p->conf,
                                 .order = {.older_than_us = s->older_than_us, .batch = s->batch},
                                 .pause_us = s->pause_us,
                                 .tell = tell_partition,
                                 .ctx = p,
                                 .stop_fd = p->stop_fd};
    struct error err = {0};
    int64_t began_us = clock_mono_us();
    int rc = pruning_run(&what, &r, &err);
    metrics_add(&p->metrics->pruned_rows, r.removed);
    if (r.removed > 0) { /* a run that removed nothing changed nothing */
        pruning_audit(&what, &r, NULL, p->audit);
    }
    if (rc == RESULT_DONE) {
        metrics_set(&p->metrics->last_prune_us, clock_wall_us());
        tell_result(p, &r, began_us);
    } else if (rc == RESULT_ERROR && wait_until(p, 0)) { /* else it was told to end */
        complain(p, &err);
    }
}

static void *thread_main(void *arg)
{
    struct pruner *p = arg;
    int64_t next_us = clock_mono_us();
    while (wait_until(p, next_us)) {
        if (!may_work(p)) {
            next_us = clock_mono_us() + LOOK_EVERY_US;
        } else {
            prune(p);
            next_us = clock_mono_us() + p->settings.every_us;
        }
    }
    return NULL;
}

static int start_thread(struct pruner *p, struct error *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&p->thread, NULL, thread_main, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc == 0 ? RESULT_DONE
                   : error_errno(err, "daemon", rc, "no thread for source.prune of pipeline %s",
                                 p->conf->name);
}

static void release(struct pruner *p)
{
    if (p->stop_fd >= 0) {
        close(p->stop_fd);
    }
    buf_release(&p->holders);
    buf_release(&p->advice);
    free(p);
}

int pruner_start(const struct config *c, const struct conf_pipeline *conf, struct metrics *metrics,
                 struct audit *audit, struct pruner **ret, struct error *err)
{
    const struct prune_ops *ops = registry_source(conf->source->name)->prune;
    struct prune_settings settings = {0};
    *ret = NULL;
    if (ops) {
        ops->settings(conf->source_conf, &settings);
    }
    if (!settings.given) {
        return RESULT_DONE;
    }
    struct pruner *p = memory_need(calloc(1, sizeof *p));
    *p = (struct pruner){.config = c,
                         .conf = conf,
                         .metrics = metrics,
                         .audit = audit,
                         .settings = settings,
                         .stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    int rc = p->stop_fd >= 0
                 ? start_thread(p, err)
                 : error_errno(err, "daemon", errno, "source.prune of pipeline %s", conf->name);
    if (rc) {
        release(p);
        return RESULT_ERROR;
    }
    *ret = p;
    return RESULT_DONE;
}

void pruner_end(struct pruner *p)
{
    uint64_t one = 1;
    if (!p) {
        return;
    }
    ssize_t n UNUSED = write(p->stop_fd, &one, sizeof one);
    pthread_join(p->thread, NULL);
    release(p);
}
