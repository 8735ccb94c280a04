/* Acknowledgements in, frontier forward, rows marked, cursor saved: in this order, and never past a
 * gap. */
#include "pipeline/internal.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include <stdio.h>
#include <stdlib.h>

/* What became of one event. Returns -1 when the sink has failed with it. */
static int take_result(struct pipeline *p, const struct sink_result *r, struct error *err)
{
    switch (r->outcome) {
    case SINK_DELIVERED:
        ledger_complete(p->ledger, r->token);
        p->answered = true;
        return RESULT_DONE;
    case SINK_POISON:
        poison_reported(p, r->token, &p->report.error);
        return RESULT_DONE;
    case SINK_RETRY:
    case SINK_FATAL:
        break;
    }
    *err = p->report.error;
    return RESULT_ERROR;
}

int settle_collect(struct pipeline *p, struct error *err)
{
    do {
        p->report.count = 0;
        int rc = p->parts.sink->collect(p->sink, &p->report, err);
        for (size_t i = 0; i < p->report.count; i++) {
            if (take_result(p, &p->report.results[i], err)) {
                rc = RESULT_ERROR;
            }
        }
        if (rc < 0) {
            return rc;
        }
    } while (p->report.count == SINK_REPORT_MAX && p->downstream.ready);
    if (p->committing && ledger_open_count(p->ledger) == 0) {
        p->committing = false;
    }
    return RESULT_DONE;
}

void settle_add_key(struct pipeline *p, struct slice key)
{
    unsigned c = p->collecting;
    if (p->keys_count[c] == p->keys_cap[c]) {
        p->keys_cap[c] = p->keys_cap[c] ? p->keys_cap[c] * 2 : 256;
        p->keys[c] = memory_need(reallocarray(p->keys[c], p->keys_cap[c], sizeof *p->keys[c]));
    }
    p->keys[c][p->keys_count[c]++] = arena_copy(&p->key_arena[c], key);
}

static void count_event(struct pipeline *p, const struct event *e, int64_t now_us)
{
    if (!e->poison) {
        p->delivered++;
        metrics_add(&p->parts.metrics->bytes_delivered,
                    (int64_t)(p->parts.sink->caps & SINK_MESSAGES ? e->value.len : e->payload.len));
    }
    if (e->created_at_us != TIME_NONE) {
        metrics_delivery(p->parts.metrics, now_us - e->created_at_us, 1);
    }
    bool only_copy = e->partial && (p->source_caps & SOURCE_ACK_REMOVES);
    if ((p->source_caps & SOURCE_ACK_KEYS) && !only_copy) {
        settle_add_key(p, e->row_key);
    }
}

static void show_position(struct pipeline *p, struct slice position)
{
    pthread_mutex_lock(&p->status_lock);
    snprintf(p->status.position, sizeof p->status.position, "%.*s", SLICE_FMT(position));
    pthread_mutex_unlock(&p->status_lock);
}

static void leave_isolation(struct pipeline *p, size_t settled)
{
    bool isolating = p->isolate_left > 0;
    p->isolate_left -= settled < p->isolate_left ? settled : p->isolate_left;
    if (isolating && p->isolate_left == 0) {
        log_write(LOG_INFO, p->name, "isolated: events are sent together again");
    }
}

static void take_run(struct pipeline *p, const struct ledger_run *run, int64_t now_us)
{
    size_t n = run->to - run->from;
    uint64_t before = p->delivered;
    for (size_t i = run->from; i < run->to; i++) {
        count_event(p, &run->batch->events[i], now_us);
    }
    if (p->settled_batch_owned && p->settled_batch != run->batch) {
        feed_recycle(p, p->settled_batch);
    }
    p->settled_batch = run->batch;
    p->settled_batch_owned = run->ends_batch;
    if (n == 0) {
        return;
    }
    p->settled_index = run->to - 1;
    p->cursor_stale = true;
    p->settled += n;
    p->settled_events += n;
    leave_isolation(p, n);
    p->suspect_tries = 0;
    metrics_add(&p->parts.metrics->events_delivered, (int64_t)(p->delivered - before));
    metrics_set(&p->parts.metrics->last_event_us, now_us);
    show_position(p, run->batch->events[p->settled_index].position);
}

void settle_take(struct pipeline *p)
{
    struct ledger_run run;
    uint64_t before = p->settled;
    int64_t now_us = clock_wall_us();
    while (ledger_take_settled(p->ledger, &run)) {
        take_run(p, &run, now_us);
    }
    if (p->settled == before) {
        return;
    }
    breaker_success(&p->breaker);
    if (p->downstream.ready) { /* else it has to be started again, whatever it delivered before */
        side_up(p, &p->downstream);
    }
    if (!(p->source_caps & SOURCE_ACK_KEYS)) {
        p->marked = p->settled;
        p->delivered_marked = p->delivered;
    }
}

void settle_cursor(struct pipeline *p)
{
    if (p->cursor_stale) {
        buf_clear(&p->cursor);
        p->parts.source->cursor(p->source, p->settled_batch, p->settled_index, &p->cursor);
        p->cursor_stale = false;
    }
}

void settle_follow(struct pipeline *p)
{
    bool empty = ledger_open_count(p->ledger) + ledger_waiting_count(p->ledger) == 0 &&
                 !(p->reading && p->reading->count > 0);
    if (!p->parts.source->moved || !empty || p->dropped || !p->parts.source->moved(p->source)) {
        return;
    }
    buf_clear(&p->cursor);
    p->parts.source->cursor(p->source, NULL, SIZE_MAX, &p->cursor);
    p->cursor_stale = false;
    p->settled++;
    p->marked = p->settled;
}

void settle_forget(struct pipeline *p)
{
    p->cursor_stale = p->remark = p->marking = p->saving = false;
    for (unsigned c = 0; c < 2; c++) {
        p->keys_count[c] = 0;
        arena_reset(&p->key_arena[c]);
    }
    p->marked = p->saved = p->settled;
}

/* Rows first, cursor second: a file sink's intent counts as done once the delivery number is saved,
 * so by then its rows must be marked. */
static int mark(struct pipeline *p, struct error *err)
{
    int rc;
    if (p->marking) {
        rc = p->parts.source->ack(p->source, NULL, 0, err);
    } else {
        if (!p->remark) {
            if (p->keys_count[p->collecting] == 0) {
                p->marked = p->settled; /* dead letters whose rows stay have no key to mark */
                p->delivered_marked = p->delivered;
                return RESULT_DONE;
            }
            p->collecting = !p->collecting;
            p->marking_settled = p->settled;
            p->marking_delivered = p->delivered;
        }
        unsigned c = !p->collecting;
        p->remark = false;
        p->marking = true;
        rc = p->parts.source->ack(p->source, p->keys[c], p->keys_count[c], err);
    }
    if (rc == RESULT_DONE) {
        fault_point("settle_after_mark");
        p->marking = false;
        p->marked = p->marking_settled;
        p->delivered_marked = p->marking_delivered;
        p->keys_count[!p->collecting] = 0;
        arena_reset(&p->key_arena[!p->collecting]);
        p->again = true;
    }
    return rc;
}

static int saved(struct pipeline *p, struct error *err)
{
    int rc = p->parts.store->saved(p->store, err);
    if (rc == RESULT_DONE) {
        fault_point("settle_after_save");
        p->saving = false;
        p->saved = p->saving_settled;
        if (p->parts.source->confirm) {
            p->parts.source->confirm(p->source, buf_slice(&p->saving_cursor));
        }
        metrics_set(&p->parts.metrics->last_save_us, clock_wall_us());
    }
    return rc;
}

static int save(struct pipeline *p, bool in_a_hurry, struct error *err)
{
    int64_t now = clock_mono_us();
    bool due = in_a_hurry || now - p->last_save_us >= p->delivery->save_interval_us;
    if (!p->saving) {
        if (p->saved == p->marked || !due) {
            return RESULT_DONE;
        }
        settle_cursor(p);
        p->last_save_us = now;
        p->saving_settled = p->marked;
        buf_clear(&p->saving_cursor);
        buf_add_slice(&p->saving_cursor, buf_slice(&p->cursor));
        if (p->parts.store->save(p->store, buf_slice(&p->cursor), p->delivered_marked, err)) {
            return RESULT_ERROR;
        }
        p->saving = true;
    }
    return saved(p, err);
}

int settle_save(struct pipeline *p, struct error *err)
{
    bool in_a_hurry = p->draining || p->idle_seen || p->set_position || p->paused;
    if ((p->source_caps & SOURCE_ACK_KEYS) && mark(p, err) < 0) {
        return RESULT_ERROR;
    }
    return save(p, in_a_hurry, err) < 0 ? RESULT_ERROR : RESULT_DONE;
}

static bool all_saved(const struct pipeline *p)
{
    return !p->marking && !p->remark && !p->saving && p->saved == p->settled &&
           p->keys_count[p->collecting] == 0;
}

int settle_wait(struct pipeline *p, struct error *err)
{
    int64_t until = clock_mono_us() + p->store_env.read_timeout_us;
    while (true) {
        if (((p->source_caps & SOURCE_ACK_KEYS) && mark(p, err) < 0) || save(p, true, err) < 0) {
            return RESULT_ERROR;
        }
        if (all_saved(p)) {
            return RESULT_DONE;
        }
        if (clock_mono_us() > until) {
            return error_set(err, ERROR_RETRY, "pipeline",
                             "marking and saving what was delivered took longer than %lld s",
                             (long long)(p->store_env.read_timeout_us / US_PER_SECOND));
        }
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_deadline(&set, clock_mono_us() + 50 * US_PER_MS);
        p->parts.store->poll_fds(p->store, &set);
        if (p->marking) {
            p->parts.source->ack_fds(p->source, &set);
        }
        poll_set_wait(&set);
    }
}

bool settle_done(const struct pipeline *p)
{
    return ledger_open_count(p->ledger) == 0 && all_saved(p);
}

/* A commit may overwrite the intent of the one before: that is safe only once the rows of that one
 * are marked. */
static bool commit_wanted(struct pipeline *p)
{
    if (ledger_open_count(p->ledger) == 0 || p->committing || p->marked != p->settled) {
        return false;
    }
    bool no_more = p->draining || p->idle_seen || p->paused || p->set_position;
    bool full = ledger_waiting_count(p->ledger) == 0 && !p->reading && !feed_may_read(p);
    return no_more || full || p->parts.sink->commit_due(p->sink, clock_mono_us());
}

int settle_commit(struct pipeline *p, struct error *err)
{
    if (!(p->parts.sink->caps & SINK_COMMITS) || !commit_wanted(p)) {
        return RESULT_DONE;
    }
    struct ledger_run run = {0};
    CLEANUP(buf_release) struct buf cursor = {0};
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    size_t open = ledger_open_count(p->ledger), n = 0;
    bool with_keys = p->source_caps & SOURCE_ACK_KEYS;
    struct slice *keys = arena_array(&arena, with_keys ? open : 1, sizeof *keys);
    for (uint64_t iter = 0; ledger_open_run(p->ledger, &iter, &run);) {
        for (size_t i = run.from; with_keys && i < run.to; i++) {
            keys[n++] = run.batch->events[i].row_key;
        }
    }
    const struct event *last = &run.batch->events[run.to - 1];
    p->parts.source->cursor(p->source, run.batch, run.to - 1, &cursor);
    struct sink_commit c = {.cursor = buf_slice(&cursor),
                            .keys = keys,
                            .keys_count = n,
                            .last_position = last->position,
                            .last_id = last->id};
    p->committing = true;
    return p->parts.sink->commit(p->sink, &c, err);
}
