/* Makes, runs and ends a pipeline. The loop in pipeline_run does everything on one thread: it
 * starts what is down, does one round of work without waiting (`work`), sets the state, and sleeps
 * in one poll(2) until something can go on. */
#include "pipeline/internal.h"

#include "base/log.h"
#include "base/memory.h"
#include "pipeline/formats.h"
#include "pipeline/plugin_env.h"
#include "pipeline/room.h"
#include "pipeline/side.h"
#include "pipeline/status.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The longest sleep: the status and the lag are brought up to date at least this often. */
static const int64_t HEARTBEAT_US = US_PER_SECOND;

static void note_from_plugin(void *ctx, int level, const char *text)
{
    const struct pipeline *p = ctx;
    log_write((enum log_level)level, p->name, "%s", text);
}

static int open_route(struct pipeline *p, struct error *err)
{
    p->encode = formats_encode(p->parts.conf);
    return formats_route_new(p->parts.conf, p->parts.changes, &p->route, err) ||
                   formats_mask_new(p->parts.conf, p->parts.changes, p->route, &p->mask, err) ||
                   formats_columns_new(p->parts.conf, p->parts.changes, &p->columns, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

static int open_plugins(struct pipeline *p, struct error *err)
{
    const struct pipeline_parts *parts = &p->parts;
    plugin_env_sink(&p->sink_env, parts->conf, p->route);
    p->sink_env.stop_fd = p->stop_fd;
    p->sink_env.note = note_from_plugin;
    p->sink_env.note_ctx = p;
    p->sink_env.beside = parts->replay != NULL;
    p->sink_env.metrics = parts->metrics;
    if (parts->sink->open(parts->conf->sink_conf, &p->sink_env, &p->sink, &p->max_event, err)) {
        return RESULT_ERROR;
    }
    p->sink_caps = sink_caps(parts->sink, p->sink);
    plugin_env_source(&p->source_env, parts->conf, &p->encode, p->route, p->mask, p->columns,
                      parts->store);
    p->source_env.range = parts->replay ? &parts->replay->range : NULL;
    p->source_env.store.part = parts->store_env.part;
    p->source_env.lease_us = parts->store->leases ? parts->store_env.lease_us : 0;
    p->source_env.stop_fd = p->stop_fd;
    p->source_env.note = note_from_plugin;
    p->source_env.did = acts_of_source;
    p->source_env.note_ctx = p;
    if (parts->source->open(parts->conf->source_conf, &p->source_env, &p->source, &p->source_caps,
                            err)) {
        return RESULT_ERROR;
    }
    progress_init(&p->progress, p->source_caps & SOURCE_ACK_KEYS);
    p->store_env = parts->store_env;
    p->store_env.stop_fd = p->stop_fd;
    return parts->store->open(&p->store_env, &p->store, err) || framing_open(p, err) ? RESULT_ERROR
                                                                                     : RESULT_DONE;
}

/* I3: events of one key belong to one shard. And a sink that keeps a place of its own keeps one for
 * a whole pipeline, under its name. */
static int check_shards(const struct pipeline *p, struct error *err)
{
    const struct pipeline_parts *parts = &p->parts;
    CLEANUP(buf_release) struct buf key = {0};
    const char *by = "";
    int shards = 1;
    if (parts->source->divide) {
        parts->source->divide(parts->conf->source_conf, &shards, &by);
    }
    buf_printf(&key, "{%s}", by);
    if (shards < 2) {
        return RESULT_DONE;
    }
    if (p->delivery->ordered && strcmp(parts->conf->route.key, buf_str(&key)) != 0) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "source.shards: events of one key have to be in one shard, and route.key \"%s\" is not what they are divided by; set it to \"%s\" (source.shard_by), or delivery.ordered: false",
            parts->conf->route.key, buf_str(&key));
    }
    if (p->sink_caps & SINK_COMMITS) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "source.shards: sink %s keeps its place under the name of the pipeline, which shards would share; remove it",
            parts->sink->name);
    }
    return RESULT_DONE;
}

/* Copies of dead letters must not arrive among the events, under the ids of events. */
static int check_copies(const struct pipeline *p, struct error *err)
{
    const struct pipeline_parts *parts = &p->parts;
    const char *topic = p->delivery->dead_letter_topic, *fixed = p->sink_env.fixed_topic;
    if (!topic[0]) {
        return RESULT_DONE;
    }
    if (!(p->sink_caps & SINK_MESSAGES)) {
        return error_set(err, ERROR_CONFIG, "config",
                         "delivery.dead_letter_topic needs a sink with topics; sink %s has none",
                         parts->sink->name);
    }
    const char *key = parts->sink->without_topic ? parts->sink->without_topic(p->sink) : NULL;
    if (key) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "delivery.dead_letter_topic: %s does not hold {topic}, so the copies of dead letters would arrive among the events; put {topic} into it, or remove dead_letter_topic",
            key);
    }
    if (fixed && strcmp(fixed, topic) == 0) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "delivery.dead_letter_topic and route.topic are both %s, so the copies of dead letters would arrive among the events; give the copies a topic of their own",
            topic);
    }
    return RESULT_DONE;
}

/* Refuses a source and a sink that can never work together now, before the first event. */
static int check_pair(const struct pipeline *p, struct error *err)
{
    const struct pipeline_parts *parts = &p->parts;
    if (p->delivery->ordered && !(p->source_caps & SOURCE_ORDERED)) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "source %s cannot keep an order without `order_by`; set it, or `delivery.ordered: false`",
            parts->source->name);
    }
    if ((p->sink_caps & SINK_WHOLE) && !(p->source_caps & SOURCE_TRANSACTIONS)) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "sink.whole_transactions needs a source that reads transactions one after the other (a change stream); the rows of one transaction are no neighbours in %s; remove it",
            parts->source->name);
    }
    if (check_copies(p, err)) {
        return RESULT_ERROR;
    }
    if (check_shards(p, err)) {
        return RESULT_ERROR;
    }
    return formats_check(parts->conf, p->source_caps & SOURCE_CHANGES, p->sink_caps, err);
}

int pipeline_new(const struct pipeline_parts *parts, struct pipeline **ret, struct error *err)
{
    struct pipeline *p = memory_need(calloc(1, sizeof *p));
    const struct conf_delivery *d = &parts->conf->delivery;
    p->parts = *parts;
    const char *part = parts->store_env.part ? parts->store_env.part : STORE_WHOLE;
    snprintf(p->name, sizeof p->name, "%s%s%s", parts->conf->name, *part ? " " : "", part);
    p->delivery = d;
    p->ledger = ledger_new();
    pthread_mutex_init(&p->status_lock, NULL);
    p->status.since_us = clock_wall_us();
    p->status.lag = SOURCE_LAG_UNKNOWN;
    p->status.slot_limit_seconds = -1;
    breaker_init(&p->breaker, (size_t)d->breaker.window, d->breaker.failure_ratio,
                 d->breaker.open_for_us);
    rate_init(&p->rate, parts->replay ? parts->replay->rate : 0);
    flight_init(&p->flight);
    backoff_init(&p->upstream.backoff, d->retry.initial_us, d->retry.max_us);
    backoff_init(&p->downstream.backoff, d->retry.initial_us, d->retry.max_us);
    p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->stop_fd < 0) {
        error_exit(
            err, ERROR_FATAL, EXIT_CODE_BUG, "pipeline",
            "pipeline %s: no descriptor left (%s); raise the limit of open files (LimitNOFILE, ulimit -n)",
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
    progress_release(&p->progress);
    buf_release(&p->stored.cursor);
    ledger_free(p->ledger);
    batch_free(p->reading);
    batch_free(p->spare);
    batch_free(p->redrive.batch);
    buf_release(&p->position_before);
    park_release(&p->park);
    framing_close(p);
    route_free(p->route);
    mask_free(p->mask);
    column_rules_free(p->columns);
    if (p->stop_fd >= 0) {
        close(p->stop_fd);
    }
    pthread_mutex_destroy(&p->status_lock);
    free(p);
}

static void begin_drain(struct pipeline *p)
{
    p->draining = true;
    p->drain_until_us = clock_mono_us() + p->delivery->drain_timeout_us;
    pipeline_enter(p, PIPELINE_DRAINING, "");
    room_drop_waiting(p);
}

/* The sink is started only after the cursor is known, and not while draining, when nothing more is
 * sent. */
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

/* With --until-idle (a cron job, for example) a paused pipeline ends after a while: otherwise it
 * would wait for an operator for ever. */
static void give_up_paused(struct pipeline *p)
{
    if (!p->ended && p->paused && settle_done(p) && out_of_patience(p, 0)) {
        pipeline_end(p, PIPELINE_FAILED, EXIT_CODE_GAVE_UP,
                     "the pipeline is paused; `resume` it first");
    }
}

/* Enters RUNNING or PAUSED when nothing is wrong; the other states are entered where their cause is
 * found. The failures of a sink are over only when it has acknowledged something (settle_take), or
 * has nothing to acknowledge. */
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
    return p->parts.source->tend && !p->sourceless ? p->parts.source->tend(p->source, err)
                                                   : RESULT_DONE;
}

/* One round of everything that can be done without waiting. The order matters: acknowledgements
 * come first because they free room; the frontier moves before new events come in; and putting
 * comes before reading, so that events leave before more are held in memory. */
static void work(struct pipeline *p)
{
    struct error err;
    framing_tend(p);
    bool failed = p->downstream.ready && settle_collect(p, &err);
    settle_take(p);
    if (failed) {
        failure_downstream(p, &err);
    }
    if (p->upstream.ready) {
        settle_follow(p);
        if (tend_source(p, &err) || park_tend(p, &err) || settle_save(p, &err) ||
            control_poll(p, &err) || park_flow_step(p, &err) || retention_tend(p, &err)) {
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
    if (pipeline_may_work(p) && room_may_read(p) && rate_left(&p->rate, clock_mono_us()) > 0 &&
        feed_read(p, &err)) {
        failure_reading(p, &err);
    }
    framing_tend(p); /* asks for what was read in this round */
    if (pipeline_may_work(p) && !p->again) {
        feed_flush(p);
    }
    if (p->upstream.ready) {
        park_look_stale(p);
        status_report(p);
    }
}

/* Neither side is known to fail. */
static bool both_work(const struct pipeline *p)
{
    return p->upstream.failures == 0 && p->downstream.failures == 0;
}

/* For one order: it is answered, and all that it set free is sent. While draining: everything in
 * flight is settled and saved, or it cannot be saved because the database is away, or drain_timeout
 * has passed. With --until-idle: everything is delivered and saved. */
static bool may_end(const struct pipeline *p)
{
    bool done = settle_done(p) && !redrive_under_way(&p->redrive) && !park_flow_in_hand(p);
    if (p->parts.one_order) {
        return done && p->status.order_id != 0 && !(park_flow_left(p) && both_work(p));
    }
    if (p->draining) {
        return done || !p->upstream.ready || clock_mono_us() >= p->drain_until_us;
    }
    return p->idle_seen && ledger_waiting_count(p->ledger) == 0 && done && !p->settling &&
           !park_flow_left(p);
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
    shard_poll(p, &set);
    if (p->upstream.ready) {
        p->parts.store->poll_fds(p->store, &set);
        if (pipeline_may_work(p) && room_may_read(p)) {
            if (rate_left(&p->rate, now) > 0) {
                p->parts.source->poll_fds(p->source, &set);
            } else {
                poll_set_deadline(&set, rate_due(&p->rate));
            }
        }
        if (p->progress.marking) {
            p->parts.source->ack_fds(p->source, &set);
        }
        if (p->parts.source->tend_fds && !p->sourceless) {
            p->parts.source->tend_fds(p->source, &set);
        }
        park_poll(p, &set);
        if (progress_may_save(&p->progress)) {
            poll_set_deadline(&set, p->last_save_us + p->delivery->save_interval_us);
        }
    } else {
        poll_set_deadline(&set, p->upstream.retry_at_us);
    }
    /* Wait only for what the next round will act on. A descriptor that is ready and that nobody
     * handles would end each poll at once, and the loop would take a whole CPU. */
    if (p->downstream.ready || (may_start_sink(p) && side_may_try(&p->downstream))) {
        p->parts.sink->poll_fds(p->sink, &set);
    } else if (may_start_sink(p)) {
        poll_set_deadline(&set, p->downstream.retry_at_us);
    }
    framing_poll(p, &set);
    if (failure_is_slowed(p) && pipeline_may_work(p)) {
        poll_set_deadline(&set, p->slowed_until_us);
    }
    if (failure_is_slowed(p)) {
        poll_set_deadline(&set, p->lag_at_us); /* `held up` shows it, however short it is */
    }
    if (p->breaker.state == BREAKER_OPEN && pipeline_may_work(p) && feed_may_put(p)) {
        poll_set_deadline(&set, p->breaker.open_until_us);
    }
    p->again = false;
    poll_set_wait(&set);
}

int pipeline_run(struct pipeline *p)
{
    p->success_at_us = clock_mono_us();
    pipeline_enter(p, PIPELINE_STARTING, "");
    while (!p->ended) {
        if (atomic_load(&p->stop) && !p->draining) {
            begin_drain(p);
        }
        shard_tend(p);
        connect_sides(p);
        if (!p->ended) {
            work(p);
        }
        settle_state(p);
        give_up_paused(p);
        status_update(p);
        if (clock_mono_us() >= p->lag_at_us) {
            lag_update(p, clock_mono_us());
            room_rest(p);
        }
        if (!p->ended && may_end(p) && targets_done(p)) {
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
