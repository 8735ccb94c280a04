/* Runs the calls of a lane that wait for a database or a program on its worker. */
#include "consume/lane.h"

#include "base/memory.h"
#include <assert.h>
#include <stdlib.h>

int lane_init(struct lane *l, struct apply *apply, const struct conf_consumer *conf,
              struct error *err)
{
    /* A program may take long with each event. So a batch is one event: between two of them a lane
     * can stop, or lose its stream. */
    bool one = conf->apply.exec.count > 0 || conf->apply.exec_stream.count > 0;
    *l = (struct lane){.apply = apply, .batch_size = one ? 1 : (size_t)conf->batch_size};
    backoff_init(&l->backoff, conf->retry.initial_us, conf->retry.max_us);
    l->batch = memory_need(calloc(l->batch_size, sizeof(struct record *)));
    return worker_new(&l->worker, err);
}

void lane_release(struct lane *l)
{
    worker_free(l->worker);
    apply_free(l->apply);
    lane_clear_positions(l);
    free(l->positions);
    free(l->batch);
    *l = (struct lane){0};
}

void lane_add(struct lane *l, struct record *r)
{
    r->next_of_lane = NULL;
    if (l->last) {
        l->last->next_of_lane = r;
    } else {
        l->first = r;
    }
    l->last = r;
    l->waiting++;
}

/* The record that could not be applied goes. While a job of events is under way, that record is in
 * its batch; and what saving has failed at is none. */
static void forget_first(struct lane *l)
{
    if (l->job == LANE_APPLY || l->job == LANE_BURY) {
        return;
    }
    l->bury = l->blocked = false;
    if (l->failed != LANE_SAVE) {
        l->failures = 0;
        l->retry_at_us = 0;
        backoff_reset(&l->backoff);
    }
}

void lane_drop_lost(struct lane *l, struct streams *streams)
{
    struct record *r = l->first;
    if (r && r->stream->lost) {
        forget_first(l);
    }
    l->first = l->last = NULL;
    l->waiting = 0;
    for (struct record *next; r; r = next) {
        next = r->next_of_lane;
        if (r->stream->lost) {
            (void)streams_done(streams, r);
        } else {
            lane_add(l, r);
        }
    }
}

bool lane_free(const struct lane *l, int64_t now_us)
{
    return l->job == LANE_IDLE && now_us >= l->retry_at_us;
}

/* --- on the worker's thread --- */

static void do_job(void *arg)
{
    struct lane *l = arg;
    l->done = 0;
    l->rc = RESULT_DONE;
    switch (l->job) {
    case LANE_LOAD:
        l->rc = apply_load(l->apply, lane_position, l, &l->err);
        break;
    case LANE_APPLY:
        l->rc = apply_batch(l->apply, l->batch, l->batch_count, &l->done, &l->err);
        break;
    case LANE_BURY:
        l->rc = apply_bury(l->apply, l->batch[0], l->reason, &l->err);
        l->done = l->rc ? 0 : 1;
        break;
    case LANE_SAVE:
        for (size_t i = 0; i < l->positions_count && !l->rc; i++) {
            l->rc = apply_save(l->apply, l->positions[i].stream, l->positions[i].number, &l->err);
        }
        break;
    case LANE_IDLE:
        break;
    }
}

/* --- jobs --- */

static void begin(struct lane *l, enum lane_job job)
{
    assert(l->job == LANE_IDLE);
    l->job = job;
    worker_submit(l->worker, do_job, l);
}

void lane_load(struct lane *l)
{
    lane_clear_positions(l);
    begin(l, LANE_LOAD);
}

static void take_batch(struct lane *l, size_t most)
{
    for (l->batch_count = 0; l->first && l->batch_count < most; l->batch_count++) {
        l->batch[l->batch_count] = l->first;
        l->first = l->first->next_of_lane;
    }
    l->last = l->first ? l->last : NULL;
    l->waiting -= l->batch_count;
}

void lane_apply(struct lane *l)
{
    take_batch(l, l->batch_size);
    begin(l, LANE_APPLY);
}

void lane_bury(struct lane *l)
{
    take_batch(l, 1);
    begin(l, LANE_BURY);
}

void lane_save(struct lane *l)
{
    begin(l, LANE_SAVE);
}

enum lane_job lane_take_end(struct lane *l)
{
    enum lane_job job = l->job;
    if (job == LANE_IDLE || !worker_take_end(l->worker)) {
        return LANE_IDLE;
    }
    l->job = LANE_IDLE;
    return job;
}

struct record *lane_give_back(struct lane *l, struct streams *streams)
{
    bool lost = l->done == l->batch_count || l->batch[l->done]->stream->lost;
    for (size_t i = l->batch_count; i-- > l->done;) {
        l->batch[i]->next_of_lane = l->first;
        l->first = l->batch[i];
        l->last = l->last ? l->last : l->first;
        l->waiting++;
    }
    l->batch_count = l->done;
    lane_drop_lost(l, streams);
    return lost ? NULL : l->first;
}

void lane_clear_positions(struct lane *l)
{
    for (size_t i = 0; i < l->positions_count; i++) {
        free(l->positions[i].stream);
    }
    l->positions_count = 0;
}

void lane_position(void *lane, struct slice stream, int64_t number)
{
    struct lane *l = lane;
    l->positions =
        memory_need(realloc(l->positions, (l->positions_count + 1) * sizeof *l->positions));
    l->positions[l->positions_count++] =
        (struct lane_position){memory_need(strndup(stream.ptr, stream.len)), number};
}
