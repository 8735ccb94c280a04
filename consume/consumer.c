/* The loop of a consumer: one poll for the source, the lanes and the request to stop. Nothing here
 * waits for a database or a program; the lanes do. */
#include "consume/internal.h"

#include "base/memory.h"
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BATCHES_AHEAD = 4, READ_MAX = 1000 };
static const size_t BYTES_MAX = 32 << 20;
static const int64_t HOLD_US = US_PER_SECOND;

/* --- making --- */

static int make_lanes(struct consumer *c, struct error *err)
{
    size_t wanted = (size_t)c->conf->workers;
    c->lanes = memory_need(calloc(wanted, sizeof *c->lanes));
    while (c->lanes_count < wanted) {
        struct apply *apply = NULL;
        if (apply_new(c->conf, &c->counts, c->abort_fd, &apply, err) ||
            lane_init(&c->lanes[c->lanes_count++], apply, c->conf, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

static int make_descriptors(struct consumer *c, struct error *err)
{
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->abort_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->wake_fd < 0 || c->abort_fd < 0) {
        return error_exit(err, ERROR_FATAL, EXIT_CODE_BUG, "consume",
                          "no descriptors are left for consumer %s; raise the limit of open files "
                          "(LimitNOFILE, ulimit -n)",
                          c->conf->name);
    }
    return RESULT_DONE;
}

int consumer_new(const struct conf_consumer *conf, bool until_idle, bool patient,
                 struct consumer **ret, struct error *err)
{
    struct consumer *c = memory_need(calloc(1, sizeof *c));
    *c = (struct consumer){.conf = conf,
                           .until_idle = until_idle,
                           .patient = patient,
                           .from_ops = from_named(conf->from->name),
                           .wake_fd = -1,
                           .abort_fd = -1,
                           .decode = decode_conf_of(conf)};
    pthread_mutex_init(&c->lock, NULL);
    backoff_init(&c->from_backoff, conf->retry.initial_us, conf->retry.max_us);
    if (make_descriptors(c, err) || make_lanes(c, err)) {
        consumer_free(c);
        return RESULT_ERROR;
    }
    *ret = c;
    return RESULT_DONE;
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static void close_from(struct consumer *c)
{
    if (c->from) {
        c->from_ops->close(c->from);
        c->from = NULL;
        c->from_up = false;
    }
}

void consumer_free(struct consumer *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < c->lanes_count; i++) {
        lane_release(&c->lanes[i]);
    }
    free(c->lanes);
    close_from(c);
    streams_release(&c->streams);
    close_fd(c->wake_fd);
    close_fd(c->abort_fd);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void wake(struct consumer *c)
{
    uint64_t one = 1;
    ssize_t n UNUSED = write(c->wake_fd, &one, sizeof one);
}

void consumer_request_stop(struct consumer *c)
{
    atomic_store(&c->stop, true);
    wake(c);
}

void consumer_end_when_idle(struct consumer *c)
{
    atomic_store(&c->until_idle, true);
    wake(c);
}

void consumer_status(struct consumer *c, struct consumer_status *ret)
{
    pthread_mutex_lock(&c->lock);
    *ret = c->status;
    pthread_mutex_unlock(&c->lock);
    ret->applied = atomic_load(&c->counts.applied);
    ret->seen = atomic_load(&c->counts.seen);
    ret->waiting = atomic_load(&c->counts.waiting);
}

/* --- the source --- */

static void note(void *ctx, enum log_level level, const char *text)
{
    const struct consumer *c = ctx;
    log_write(level, c->conf->name, "%s", text);
}

static int open_from(struct consumer *c, struct error *err)
{
    const struct from_env env = {.consumer = c->conf->name,
                                 .group = *c->conf->group ? c->conf->group : c->conf->name,
                                 .ctx = c,
                                 .note = note,
                                 .lose = flow_lose};
    if (c->from_ops->open(c->conf->from_conf, &env, &c->from, err)) {
        c->from = NULL;
        return RESULT_ERROR;
    }
    for (size_t i = 0; c->from_ops->resume && i < c->streams.count; i++) {
        const struct stream *s = c->streams.items[i];
        c->from_ops->resume(c->from, slice_from(s->name), s->taken);
    }
    return RESULT_DONE;
}

static void say_nothing(void *ctx, enum log_level level, const char *text)
{
    (void)ctx;
    (void)level;
    (void)text;
}

void consumer_look(const struct conf_consumer *conf, struct error *ret_from,
                   struct error *ret_inbox, bool *ret_missing)
{
    const struct from_env env = {.consumer = conf->name,
                                 .group = *conf->group ? conf->group : conf->name,
                                 .note = say_nothing};
    error_clear(ret_from);
    error_clear(ret_inbox);
    (void)!from_named(conf->from->name)->check(conf->from_conf, &env, ret_from);
    (void)!apply_check(conf, ret_missing, ret_inbox);
}

static void from_failed(struct consumer *c, const struct error *err)
{
    c->from_up = false; /* before streams are lost, after which it may look well */
    for (size_t i = c->streams.count; c->from_ops->keeps_positions && i-- > 0;) {
        if (i < c->streams.count && !c->streams.items[i]->lost) {
            flow_lose(c, c->streams.items[i]->name);
        }
    }
    close_from(c);
    if (c->from_failed_at_us == 0) {
        c->from_failed_at_us = clock_mono_us();
    }
    c->from_retry_at_us = consumer_failed(c, &c->from_backoff, err, c->from_failed_at_us);
}

static bool room(const struct consumer *c)
{
    size_t most = BATCHES_AHEAD * (size_t)c->conf->batch_size * c->lanes_count;
    return c->streams.records < most && c->streams.bytes < BYTES_MAX;
}

static void from_works(struct consumer *c)
{
    if (!c->from_up && (!c->from_ops->up || c->from_ops->up(c->from))) {
        c->from_up = true;
        c->from_failed_at_us = 0;
        backoff_reset(&c->from_backoff);
        consumer_well(c);
    }
}

/* True: there is more to read at once. */
static bool read_some(struct consumer *c)
{
    struct error err;
    if (!c->loaded || c->draining || (!c->from && clock_mono_us() < c->from_retry_at_us)) {
        return false;
    }
    if (!c->from && open_from(c, &err)) {
        from_failed(c, &err);
        return false;
    }
    if (!room(c)) {
        if (c->from_ops->hold && c->from_ops->hold(c->from, flow_take, c, &err)) {
            from_failed(c, &err);
        }
        return false;
    }
    int rc = c->from_ops->read(c->from, READ_MAX, flow_take, c, &err);
    if (rc == RESULT_ERROR) {
        from_failed(c, &err);
        return false;
    }
    from_works(c);
    return rc == RESULT_DONE && room(c);
}

/* --- the end --- */

static bool lanes_idle(const struct consumer *c)
{
    for (size_t i = 0; i < c->lanes_count; i++) {
        if (c->lanes[i].job != LANE_IDLE) {
            return false;
        }
    }
    return true;
}

static void abort_lanes(struct consumer *c)
{
    uint64_t one = 1;
    ssize_t n UNUSED = write(c->abort_fd, &one, sizeof one);
}

static void end_well(struct consumer *c)
{
    struct error err;
    if (c->from && c->from_ops->flush && c->from_ops->flush(c->from, &err)) {
        log_error(
            LOG_WARN, c->conf->name,
            "how far it is could not be saved: what it applied comes again and is passed over",
            &err);
    }
    consumer_end(c, EXIT_CODE_OK, NULL);
}

static void check_drained(struct consumer *c)
{
    bool late = clock_mono_us() >= c->drain_until_us;
    if (late) {
        abort_lanes(c);
    }
    if (lanes_idle(c) && (flow_saved(c) || late || c->lanes[0].failures > 0)) {
        end_well(c);
    }
}

static void check_idle(struct consumer *c)
{
    if (!c->finishing) { /* what has come until now belongs to it */
        c->finishing = true;
        if (c->from) {
            c->from_ops->look_again(c->from);
        }
        return;
    }
    if (!c->from || !c->from_ops->idle(c->from) || c->streams.records > 0 || !flow_saved(c)) {
        return;
    }
    const struct error *stuck = c->from_ops->stuck ? c->from_ops->stuck(c->from) : NULL;
    if (stuck) {
        consumer_end(c, stuck->exit_code, stuck);
    } else {
        end_well(c);
    }
}

static void check_stop(struct consumer *c)
{
    uint64_t times;
    ssize_t n UNUSED =
        read(c->wake_fd, &times, sizeof times); /* first, as it may be set right now */
    if (!atomic_load(&c->stop) || c->draining) {
        return;
    }
    c->draining = true;
    c->drain_until_us = clock_mono_us() + c->conf->drain_timeout_us;
    consumer_enter(c, CONSUMER_STOPPING, "");
}

/* --- the loop --- */

static void wait_for_work(struct consumer *c, bool more)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_add(&set, c->wake_fd, POLLIN);
    for (size_t i = 0; i < c->lanes_count; i++) {
        const struct lane *l = &c->lanes[i];
        poll_set_add(&set, worker_fd(l->worker), POLLIN);
        if (l->job == LANE_IDLE && !c->draining && (l->waiting > 0 || !c->loaded)) {
            poll_set_deadline(&set, l->retry_at_us);
        }
    }
    if (c->draining) {
        poll_set_deadline(&set, c->drain_until_us > clock_mono_us() ? c->drain_until_us
                                                                    : clock_mono_us() + HOLD_US);
    } else if (!c->from) {
        poll_set_deadline(&set, c->loaded ? c->from_retry_at_us : DEADLINE_NEVER);
    } else if (room(c)) {
        c->from_ops->poll(c->from, &set);
    } else {
        poll_set_deadline(&set, clock_mono_us() + HOLD_US);
    }
    if (c->lanes[0].job == LANE_IDLE && !flow_saved(c)) {
        poll_set_deadline(&set, c->save_at_us > c->lanes[0].retry_at_us ? c->save_at_us
                                                                        : c->lanes[0].retry_at_us);
    }
    if (more) {
        poll_set_deadline(&set, 0);
    }
    poll_set_wait(&set);
}

int consumer_run(struct consumer *c)
{
    c->progress_at_us = clock_mono_us();
    log_write(LOG_INFO, c->conf->name, "consumer of %s", c->from_ops->name);
    while (!c->ended) {
        check_stop(c);
        flow_collect(c);
        bool more = read_some(c);
        flow_dispatch(c);
        if (c->draining && !c->ended) {
            check_drained(c);
        } else if (c->until_idle && !c->ended) {
            check_idle(c);
        }
        if (!c->ended) {
            wait_for_work(c, more);
        }
    }
    abort_lanes(c);
    close_from(c); /* which may still give up streams, and so waits for the lanes */
    return c->exit_code;
}
