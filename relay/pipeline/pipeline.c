/* One thread takes each event from a committed row to an acknowledged, saved delivery, and sleeps
 * in one poll(2). */
#include "pipeline/internal.h"

#include "base/log.h"
#include "base/shown.h"
#include "base/utf8.h"
#include "pipeline/formats.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const int64_t HEARTBEAT_US = US_PER_SECOND;

static void note_from_plugin(void *ctx, int level, const char *text)
{
    const struct pipeline *p = ctx;
    log_write((enum log_level)level, p->name, "%s", text);
}

static int open_route(struct pipeline *p, struct error *err)
{
    p->encode = formats_encode(p->parts.conf);
    return formats_route_new(p->parts.conf, p->parts.changes, &p->route, err);
}

static int open_plugins(struct pipeline *p, struct error *err)
{
    const struct pipeline_parts *parts = &p->parts;
    p->sink_env = (struct sink_env){.pipeline = p->name,
                                    .fixed_topic = route_fixed_topic(p->route),
                                    .max_in_flight = (size_t)p->delivery->max_in_flight,
                                    .max_in_flight_bytes = (size_t)p->delivery->max_in_flight_bytes,
                                    .stop_fd = p->stop_fd,
                                    .note = note_from_plugin,
                                    .note_ctx = p};
    if (parts->sink->open(parts->conf->sink_conf, &p->sink_env, &p->sink, &p->max_event, err)) {
        return RESULT_ERROR;
    }
    p->source_env = (struct source_env){.pipeline = p->name,
                                        .ordered = p->delivery->ordered,
                                        .attempts = p->delivery->attempts,
                                        .max_event_bytes = (size_t)p->delivery->max_event_bytes,
                                        .lease_us = parts->store->leases ? parts->lease_us : 0,
                                        .stop_fd = p->stop_fd,
                                        .note = note_from_plugin,
                                        .note_ctx = p};
    encode_shape(&p->encode, &p->source_env.shape);
    p->source_env.columns_count = route_columns(p->route, &p->source_env.columns);
    if (parts->source->open(parts->conf->source_conf, &p->source_env, &p->source, &p->source_caps,
                            err)) {
        return RESULT_ERROR;
    }
    p->store_env = (struct store_env){
        .url = parts->store_url,
        .create = parts->store_create,
        .pipeline = p->name,
        .part = "",
        .lease_us = parts->lease_us,
        .connect_timeout_us =
            parts->store_connect_timeout_us ? parts->store_connect_timeout_us : 5 * US_PER_SECOND,
        .read_timeout_us =
            parts->store_read_timeout_us ? parts->store_read_timeout_us : 30 * US_PER_SECOND,
        .stop_fd = p->stop_fd};
    return parts->store->open(&p->store_env, &p->store, err);
}

/* Pairs that can never work are refused here, not at three in the morning. */
static int check_pair(const struct pipeline *p, struct error *err)
{
    const struct pipeline_parts *parts = &p->parts;
    if (p->delivery->ordered && !(p->source_caps & SOURCE_ORDERED)) {
        return error_set(err, ERROR_CONFIG, "config",
                         "source %s cannot keep an order without `order_by`; set it, or "
                         "`delivery.ordered: false`",
                         parts->source->name);
    }
    if (p->delivery->dead_letter_topic[0] && !(parts->sink->caps & SINK_MESSAGES)) {
        return error_set(err, ERROR_CONFIG, "config",
                         "delivery.dead_letter_topic needs a sink with topics; sink %s has none",
                         parts->sink->name);
    }
    return formats_check(parts->conf, p->source_caps & SOURCE_CHANGES,
                         parts->sink->caps & SINK_MESSAGES, err);
}

int pipeline_new(const struct pipeline_parts *parts, struct pipeline **ret, struct error *err)
{
    struct pipeline *p = calloc(1, sizeof *p);
    if (!p) {
        return error_errno(err, "pipeline", ENOMEM, "pipeline %s", parts->conf->name);
    }
    const struct conf_delivery *d = &parts->conf->delivery;
    p->parts = *parts;
    p->name = parts->conf->name;
    p->delivery = d;
    p->ledger = ledger_new();
    pthread_mutex_init(&p->status_lock, NULL);
    p->status.since_us = clock_wall_us();
    p->status.lag = SOURCE_LAG_UNKNOWN;
    p->status.slot_limit_seconds = -1;
    breaker_init(&p->breaker, (size_t)d->breaker.window, d->breaker.failure_ratio,
                 d->breaker.open_for_us);
    backoff_init(&p->upstream.backoff, d->retry.initial_us, d->retry.max_us);
    backoff_init(&p->downstream.backoff, d->retry.initial_us, d->retry.max_us);
    p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->stop_fd < 0) {
        error_exit(err, ERROR_FATAL, EXIT_CODE_BUG, "pipeline",
                   "pipeline %s: no descriptor left (%s); raise the limit of open files "
                   "(LimitNOFILE, ulimit -n)",
                   p->name, strerror(errno));
        pipeline_free(p);
        return RESULT_ERROR;
    }
    if (open_route(p, err) || open_plugins(p, err) || check_pair(p, err)) {
        error_prefix(err, "pipeline %s", p->name);
        pipeline_free(p);
        return RESULT_ERROR;
    }
    *ret = p;
    return RESULT_DONE;
}

void pipeline_free(struct pipeline *p)
{
    if (!p) {
        return;
    }
    p->parts.sink->close(p->sink);
    p->parts.source->close(p->source);
    p->parts.store->close(p->store);
    if (p->settled_batch_owned) {
        batch_free(p->settled_batch);
    }
    ledger_free(p->ledger);
    batch_free(p->reading);
    batch_free(p->spare);
    route_free(p->route);
    buf_release(&p->cursor);
    buf_release(&p->saving_cursor);
    for (size_t i = 0; i < 2; i++) {
        arena_release(&p->key_arena[i]);
        free(p->keys[i]);
    }
    if (p->stop_fd >= 0) {
        close(p->stop_fd);
    }
    pthread_mutex_destroy(&p->status_lock);
    free(p);
}

void pipeline_request_stop(struct pipeline *p)
{
    uint64_t one = 1;
    atomic_store(&p->stop, true);
    /* Never read again: it stays readable, so that every bounded wait of the pipeline gives up. */
    ssize_t n UNUSED = write(p->stop_fd, &one, sizeof one);
}

void pipeline_status(struct pipeline *p, struct pipeline_status *ret)
{
    pthread_mutex_lock(&p->status_lock);
    *ret = p->status;
    pthread_mutex_unlock(&p->status_lock);
}

/* For people only; if the store cannot take it, the next save will say so. One that is busy is
 * asked again with the next round. */
static void report_state(struct pipeline *p)
{
    struct error ignored;
    if (!p->state_unreported || !p->store_ready || p->saving) {
        return;
    }
    int rc = p->parts.store->report_state(p->store, pipeline_state_name(p->status.state),
                                          p->status.detail, &ignored);
    p->state_unreported = rc == RESULT_AGAIN;
}

static enum log_level level_of(enum pipeline_state state)
{
    bool over = state == PIPELINE_BLOCKED || state == PIPELINE_FAILED;
    return over ? LOG_ERROR : state == PIPELINE_RETRYING ? LOG_WARN : LOG_INFO;
}

void pipeline_enter(struct pipeline *p, enum pipeline_state state, const char *detail)
{
    char shown[sizeof p->status.detail];
    snprintf(shown, sizeof shown, "%s", detail);
    shown_mend(shown, sizeof shown, SHOWN_IN_LINE);
    bool same = p->status.state == state && strcmp(p->status.detail, shown) == 0;
    assert(pipeline_state_may_follow(p->status.state, state));
    if (same) {
        return;
    }
    pthread_mutex_lock(&p->status_lock);
    p->status.state = state;
    p->status.since_us = clock_wall_us();
    memcpy(p->status.detail, shown, sizeof shown);
    pthread_mutex_unlock(&p->status_lock);
    metrics_set(&p->parts.metrics->state, state);
    log_write(level_of(state), p->name, "state %s%s%s", pipeline_state_name(state),
              shown[0] ? ": " : "", shown);
    p->state_unreported = true;
    report_state(p);
}

void pipeline_end(struct pipeline *p, enum pipeline_state state, int exit_code, const char *detail)
{
    p->ended = true;
    p->exit_code = exit_code;
    pthread_mutex_lock(&p->status_lock);
    p->status.exit_code = exit_code;
    pthread_mutex_unlock(&p->status_lock);
    pipeline_enter(p, state, detail);
}

bool pipeline_may_work(const struct pipeline *p)
{
    return p->upstream.ready && p->downstream.ready && !p->ended;
}

static void begin_drain(struct pipeline *p)
{
    p->draining = true;
    p->drain_until_us = clock_mono_us() + p->delivery->drain_timeout_us;
    pipeline_enter(p, PIPELINE_DRAINING, "");
    feed_drop_waiting(p);
}

/* The sink needs the cursor, and a drain sends nothing more. */
static bool may_start_sink(const struct pipeline *p)
{
    return p->upstream.ready && !p->draining && !p->ended;
}

/* Brings up what is down and may be tried. */
static void connect_sides(struct pipeline *p)
{
    struct error err = {0};
    if (!p->upstream.ready && !p->draining && side_may_try(&p->upstream)) {
        int rc = connect_upstream(p, &err);
        if (rc < 0) {
            failure_upstream(p, &err);
        } else if (rc == RESULT_DONE) {
            p->read_to_the_end = false;
            side_connected(&p->upstream);
        }
    }
    if (!p->downstream.ready && may_start_sink(p) && side_may_try(&p->downstream)) {
        int rc = connect_downstream(p, &err);
        if (rc < 0) {
            failure_downstream(p, &err);
        } else if (rc == RESULT_DONE) {
            side_connected(&p->downstream);
            ledger_free_dropped(p->ledger);
        }
    }
}

/* Nothing that was begun with --until-idle, a cron job for example, waits for an operator for ever.
 */
static void give_up_paused(struct pipeline *p)
{
    if (!p->ended && p->paused && settle_done(p) && out_of_patience(p, 0)) {
        pipeline_end(p, PIPELINE_FAILED, EXIT_CODE_GAVE_UP,
                     "the pipeline is paused; `resume` it first");
    }
}

/* RUNNING and PAUSED follow from the facts; the other states are entered where their cause is. A
 * sink that failed counts as mended only when it has acknowledged something (settle_take), or has
 * nothing to acknowledge. */
static void settle_state(struct pipeline *p)
{
    if (p->upstream.ready && p->upstream.failures > 0 && failure_over(p)) {
        side_up(p, &p->upstream);
    }
    if (!pipeline_may_work(p) || p->draining || p->poisoned || p->upstream.failures > 0) {
        return;
    }
    bool empty = ledger_open_count(p->ledger) + ledger_waiting_count(p->ledger) == 0;
    if (p->downstream.failures > 0 && empty) {
        side_up(p, &p->downstream);
    }
    if (p->paused) {
        pipeline_enter(p, PIPELINE_PAUSED, "");
    } else if (p->downstream.failures == 0) {
        pipeline_enter(p, PIPELINE_RUNNING, "");
    }
}

static int tend_source(struct pipeline *p, struct error *err)
{
    return p->parts.source->tend ? p->parts.source->tend(p->source, err) : RESULT_DONE;
}

/* One round of everything that can be done without waiting. The order matters: acknowledgements
 * free room, the frontier moves before new events come in, and putting comes before reading so that
 * memory is used up last. */
static void work(struct pipeline *p)
{
    struct error err;
    bool failed = p->downstream.ready && settle_collect(p, &err);
    settle_take(p);
    if (failed) {
        failure_downstream(p, &err);
    }
    if (p->upstream.ready) {
        settle_follow(p);
        if (tend_source(p, &err) || settle_save(p, &err) || control_poll(p, &err)) {
            failure_upstream(p, &err);
        }
    } else {
        control_without_store(p);
    }
    if (pipeline_may_work(p) && feed_put(p, &err)) {
        failure_downstream(p, &err);
    }
    if (pipeline_may_work(p) && settle_commit(p, &err)) {
        failure_downstream(p, &err);
    }
    if (pipeline_may_work(p) && feed_may_read(p) && feed_read(p, &err)) {
        failure_reading(p, &err);
    }
    if (pipeline_may_work(p) && !p->again) {
        feed_flush(p);
    }
    if (p->upstream.ready) {
        report_state(p);
    }
}

/* Stopped: when what was in flight is settled, cannot be settled, or has had its time. Idle: only
 * when all is done. */
static bool may_end(const struct pipeline *p)
{
    if (p->draining) {
        return settle_done(p) || !p->upstream.ready || clock_mono_us() >= p->drain_until_us;
    }
    return p->idle_seen && ledger_waiting_count(p->ledger) == 0 && settle_done(p);
}

static void update_status(struct pipeline *p)
{
    int64_t now = clock_mono_us();
    struct metrics *m = p->parts.metrics;
    metrics_set(&m->in_flight_events,
                (int64_t)(ledger_open_count(p->ledger) + ledger_waiting_count(p->ledger)));
    metrics_set(&m->in_flight_bytes, (int64_t)ledger_bytes(p->ledger));
    metrics_set(&m->breaker_state, p->breaker.state);
    pthread_mutex_lock(&p->status_lock);
    p->status.alive_us = now;
    p->status.delivered = p->delivered;
    p->status.paused = p->paused;
    pthread_mutex_unlock(&p->status_lock);
    if (now >= p->lag_at_us) {
        lag_update(p, now);
    }
}

static void wait_for_work(struct pipeline *p)
{
    struct poll_set set;
    int64_t now = clock_mono_us();
    poll_set_clear(&set);
    poll_set_deadline(&set, p->again ? now : now + HEARTBEAT_US);
    if (p->draining) {
        poll_set_deadline(&set, p->drain_until_us);
    } else {
        poll_set_add(&set, p->stop_fd, POLLIN);
    }
    if (p->upstream.ready) {
        p->parts.store->poll_fds(p->store, &set);
        if (pipeline_may_work(p) && feed_may_read(p)) {
            p->parts.source->poll_fds(p->source, &set);
        }
        if (p->marking) {
            p->parts.source->ack_fds(p->source, &set);
        }
        if (p->parts.source->tend_fds) {
            p->parts.source->tend_fds(p->source, &set);
        }
        if (!p->saving && p->saved < p->marked) {
            poll_set_deadline(&set, p->last_save_us + p->delivery->save_interval_us);
        }
    } else {
        poll_set_deadline(&set, p->upstream.retry_at_us);
    }
    /* Only what the next round will act on: anything else would wake it for ever. */
    if (p->downstream.ready || (may_start_sink(p) && side_may_try(&p->downstream))) {
        p->parts.sink->poll_fds(p->sink, &set);
    } else if (may_start_sink(p)) {
        poll_set_deadline(&set, p->downstream.retry_at_us);
    }
    if (p->breaker.state == BREAKER_OPEN && pipeline_may_work(p) && feed_may_put(p)) {
        poll_set_deadline(&set, p->breaker.open_until_us);
    }
    p->again = false;
    poll_set_wait(&set);
}

int pipeline_run(struct pipeline *p)
{
    p->progress_at_us = clock_mono_us();
    pipeline_enter(p, PIPELINE_STARTING, "");
    while (!p->ended) {
        if (atomic_load(&p->stop) && !p->draining) {
            begin_drain(p);
        }
        connect_sides(p);
        if (!p->ended) {
            work(p);
        }
        settle_state(p);
        give_up_paused(p);
        update_status(p);
        if (!p->ended && may_end(p)) {
            lag_update(p, clock_mono_us());
            pipeline_end(p, PIPELINE_STOPPED, p->exit_code,
                         p->exit_code ? "stopped by a poisoned event" : "");
        }
        if (!p->ended) {
            wait_for_work(p);
        }
    }
    return p->exit_code;
}
