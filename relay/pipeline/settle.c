/* What happens after the sink, always in this order: acknowledgements are taken, the frontier
 * moves, the rows of settled events are marked, the cursor is saved, the source confirms it.
 * Example: 1 and 3 are delivered and 2 is not. Then only 1 is marked and saved: if 3 were saved
 * too, a crash would lose 2. */
#include "pipeline/internal.h"

#include "base/fault.h"
#include "base/log.h"
#include "pipeline/room.h"
#include "pipeline/side.h"
#include "pipeline/status.h"
#include <stdio.h>

/* What became of one event. ERROR: the sink has failed with it. */
static int take_result(struct pipeline *p, const struct sink_result *r, int64_t now_us,
                       struct error *err)
{
    bool known = r->outcome == SINK_DELIVERED || r->outcome == SINK_POISON;
    bool letter = p->redrive.state == REDRIVE_SENT && r->token == p->redrive.token;
    if (letter && known) {
        redrive_reported(p, r->outcome == SINK_DELIVERED, &p->report.error);
        return RESULT_DONE;
    }
    if (known && park_flow_reported(p, r->token, r->outcome == SINK_DELIVERED, &p->report.error)) {
        return RESULT_DONE;
    }
    switch (r->outcome) {
    case SINK_DELIVERED:
        ledger_complete(p->ledger, r->token);
        flight_acked(&p->flight, r->token, now_us);
        p->answered = true;
        return RESULT_DONE;
    case SINK_POISON:
        flight_forget(&p->flight);
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
        int64_t now_us = clock_mono_us();
        flight_time(&p->flight, now_us);
        for (size_t i = 0; i < p->report.count; i++) {
            if (take_result(p, &p->report.results[i], now_us, err)) {
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

/* Marking would delete the row, and the dead letter of a partial event has not all of it. */
static bool marks_row(const struct pipeline *p, const struct event *e)
{
    bool only_copy = e->partial && (p->source_caps & SOURCE_ACK_REMOVES);
    return p->progress.marks_rows && !only_copy;
}

static void count_event(struct pipeline *p, const struct event *e, int64_t now_us)
{
    bool sent = !e->poison && !e->parked;
    if (e->parked) {
        park_settled(p);
    }
    if (sent) {
        progress_number(&p->progress);
        if (p->parts.metrics->topics) {
            topic_counts_add(p->parts.metrics->topics, e->topic);
        }
        metrics_add(&p->parts.metrics->bytes_delivered,
                    (int64_t)(p->sink_caps & SINK_MESSAGES ? e->value.len : e->payload.len));
    }
    if (e->created_at_us != TIME_NONE && !e->parked) {
        metrics_delivery(p->parts.metrics, now_us - e->created_at_us, 1);
    }
    if (marks_row(p, e)) {
        progress_add_key(&p->progress, e->row_key);
    }
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
    uint64_t before = p->progress.delivered;
    for (size_t i = run->from; i < run->to; i++) {
        count_event(p, &run->batch->events[i], now_us);
    }
    struct batch *done = progress_settle(&p->progress, run->batch, run->to - 1, n, run->ends_batch);
    if (done) {
        room_give_back(p, done);
    }
    if (n == 0) {
        return;
    }
    leave_isolation(p, n);
    p->suspect_tries = 0;
    metrics_add(&p->parts.metrics->events_delivered, (int64_t)(p->progress.delivered - before));
    metrics_set(&p->parts.metrics->last_event_us, now_us);
    status_position(p, run->batch->events[run->to - 1].position);
}

void settle_take(struct pipeline *p)
{
    struct ledger_run run;
    uint64_t before = p->progress.delivered;
    int64_t now_us = clock_wall_us();
    while (ledger_take_settled(p->ledger, &run)) {
        take_run(p, &run, now_us);
    }
    if (p->progress.delivered == before) {
        return; /* what is a dead letter, or waits behind one, says nothing about the sink */
    }
    breaker_success(&p->breaker);
    if (p->downstream.ready) { /* a sink that has failed since has still to be started again */
        side_up(p, &p->downstream);
    }
}

void settle_cursor(struct pipeline *p)
{
    struct progress *g = &p->progress;
    if (g->cursor_stale) {
        CLEANUP(buf_release) struct buf cursor = {0};
        p->parts.source->cursor(p->source, g->last_batch, g->last_index, &cursor);
        progress_set_cursor(g, buf_slice(&cursor));
    }
}

void settle_follow(struct pipeline *p)
{
    bool empty = ledger_open_count(p->ledger) + ledger_waiting_count(p->ledger) == 0 &&
                 !(p->reading && p->reading->count > 0);
    if (!p->parts.source->moved || !empty || p->dropped || !p->parts.source->moved(p->source)) {
        return;
    }
    CLEANUP(buf_release) struct buf cursor = {0};
    p->parts.source->cursor(p->source, NULL, SIZE_MAX, &cursor);
    progress_move(&p->progress, buf_slice(&cursor));
}

/* Marks rows, as far as possible without waiting. Rows are marked before the cursor is saved: the
 * file sink's intent (its note of a commit under way) counts as done once the delivery number is
 * saved, and after a crash nobody would mark its rows any more. */
static int mark(struct pipeline *p, struct error *err)
{
    struct progress *g = &p->progress;
    const struct progress_keys *keys;
    int rc;
    if (g->marking) {
        rc = p->parts.source->ack(p->source, NULL, 0, err);
    } else if (progress_mark_begin(g, &keys)) {
        rc = p->parts.source->ack(p->source, keys->keys, keys->count, err);
    } else {
        return RESULT_DONE;
    }
    if (rc == RESULT_DONE) {
        fault_point("settle_after_mark");
        progress_mark_done(g);
        p->again = true;
    }
    return rc;
}

/* Asks whether the save under way is durable; if so the source may confirm it to the server. */
static int saved(struct pipeline *p, struct error *err)
{
    int rc = p->parts.store->saved(p->store, err);
    if (rc == RESULT_DONE) {
        fault_point("settle_after_save");
        progress_save_done(&p->progress);
        if (p->parts.source->confirm && !p->sourceless) {
            p->parts.source->confirm(p->source, buf_slice(&p->progress.saving_cursor));
        }
        metrics_set(&p->parts.metrics->last_save_us, clock_wall_us());
    }
    return rc;
}

/* Begins a save if there is something to save and save_interval has passed (or at once, in a
 * hurry), and looks whether it is done. */
static int save(struct pipeline *p, bool in_a_hurry, struct error *err)
{
    struct progress *g = &p->progress;
    int64_t now = clock_mono_us();
    bool due = in_a_hurry || now - p->last_save_us >= p->delivery->save_interval_us;
    if (!g->saving) {
        if (!progress_may_save(g) || !due) {
            return RESULT_DONE;
        }
        settle_cursor(p);
        p->last_save_us = now;
        if (p->parts.store->save(p->store, buf_slice(&g->cursor), g->delivered_marked, err)) {
            return RESULT_ERROR;
        }
        progress_save_begun(g);
    }
    return saved(p, err);
}

int settle_save(struct pipeline *p, struct error *err)
{
    bool in_a_hurry =
        p->draining || p->idle_seen || p->settling || p->paused || p->giving || park_in_a_hurry(p);
    if (p->progress.marks_rows && mark(p, err) < 0) {
        return RESULT_ERROR;
    }
    return save(p, in_a_hurry, err) < 0 ? RESULT_ERROR : RESULT_DONE;
}

int settle_wait(struct pipeline *p, struct error *err)
{
    int64_t until = clock_mono_us() + p->store_env.read_timeout_us;
    while (true) {
        if ((p->progress.marks_rows && mark(p, err) < 0) || save(p, true, err) < 0) {
            return RESULT_ERROR;
        }
        if (progress_all_saved(&p->progress)) {
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
        if (p->progress.marking) {
            p->parts.source->ack_fds(p->source, &set);
        }
        poll_set_wait(&set);
    }
}

bool settle_done(const struct pipeline *p)
{
    return ledger_open_count(p->ledger) == 0 && progress_all_saved(&p->progress);
}

/* Whether to commit now. Two things forbid it. Rows of the commit before are unmarked: this commit
 * may overwrite that one's intent, and after a crash those rows would be sent again. Or events that
 * have to wait are not stored yet: the cursor of this commit would pass them. */
static bool commit_wanted(struct pipeline *p)
{
    if (ledger_open_count(p->ledger) == 0 || p->committing || progress_unmarked(&p->progress) > 0 ||
        p->park.pending_count > 0) {
        return false;
    }
    bool no_more =
        p->draining || p->idle_seen || p->paused || p->settling || p->giving || park_in_a_hurry(p);
    bool full = ledger_waiting_count(p->ledger) == 0 && !p->reading && !room_may_read(p);
    return no_more || full || p->parts.sink->commit_due(p->sink, clock_mono_us());
}

int settle_commit(struct pipeline *p, struct error *err)
{
    if (!(p->sink_caps & SINK_COMMITS) || !commit_wanted(p)) {
        return RESULT_DONE;
    }
    struct ledger_run run = {0};
    CLEANUP(buf_release) struct buf cursor = {0};
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    size_t open = ledger_open_count(p->ledger), n = 0;
    struct slice *keys = arena_array(&arena, p->progress.marks_rows ? open : 1, sizeof *keys);
    for (uint64_t iter = 0; ledger_open_run(p->ledger, &iter, &run);) {
        for (size_t i = run.from; i < run.to; i++) {
            if (marks_row(p, &run.batch->events[i])) {
                keys[n++] = run.batch->events[i].row_key;
            }
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

int settle_lone(struct pipeline *p, const struct event *last, int64_t dead_letter,
                struct error *err)
{
    const struct sink_ops *sink = p->parts.sink;
    if (!(p->sink_caps & SINK_COMMITS)) {
        if (sink->flush) {
            sink->flush(p->sink);
        }
        return RESULT_DONE;
    }
    settle_cursor(p);
    struct sink_commit c = {.cursor = buf_slice(&p->progress.cursor),
                            .last_position = last->position,
                            .last_id = last->id,
                            .dead_letter = dead_letter};
    return sink->commit(p->sink, &c, err);
}
