/* Sends the events that wait behind dead letters that were retried or dropped. It sends a page of
 * one key, removes the page's rows from the store, and goes on with the next page. After a crash
 * between the two a page is sent once more under the same ids. A sink that commits has recorded the
 * page in its commit, and does not get it twice.
 *
 * A page goes while nothing else is in hand. Between two pages the other keys have as much time as
 * the page took. */
#include "pipeline/park.h"

#include "base/fault.h"
#include "base/log.h"
#include "message/trace.h"
#include "pipeline/internal.h"
#include "pipeline/letter.h"
#include <stdio.h>
#include <string.h>

/* An order, and a dead letter that is sent again, come first. */
static bool wanted(const struct pipeline *p)
{
    return park_flow_left(p) && !p->settling && !redrive_under_way(&p->redrive) &&
           clock_mono_us() >= p->park.flow.rest_until_us;
}

/* --- the next page --- */

struct loading {
    struct pipeline *p;
    bool refused; /* the first cannot be sent: f->why says why */
};

static int prepare(struct pipeline *p, const struct store_dead_letter *d, struct error *err)
{
    struct batch *b = p->park.flow.batch;
    if (!letter_holds_event(d)) {
        return error_set(err, ERROR_POISON, "pipeline", "%.*s", SLICE_FMT(d->reason));
    }
    return feed_prepare_again(p, b, &b->events[b->count - 1], err);
}

/* A page ends before an event that cannot be sent. The next one begins with it. */
static int take(void *ctx, const struct store_dead_letter *d)
{
    struct loading *to = ctx;
    struct park_flow *f = &to->p->park.flow;
    struct error why;
    letter_event(to->p, f->batch, d);
    if (prepare(to->p, d, &why)) {
        if (f->count > 0) {
            f->batch->count--;
        } else {
            f->ids[0] = d->id;
            f->why = why;
            to->refused = true;
        }
        return RESULT_AGAIN;
    }
    f->ids[f->count++] = d->id;
    return RESULT_DONE;
}

static void take_up(struct park_flow *f, struct slice key)
{
    if (!slice_equal(buf_slice(&f->key), key)) {
        buf_clear(&f->key);
        buf_add_slice(&f->key, key);
        f->after = 0;
        f->alone = 0;
        f->tries = 0;
    }
}

static void key_is_free(struct pipeline *p)
{
    struct park_flow *f = &p->park.flow;
    parked_remove(&p->park.keys, buf_slice(&f->key));
    log_write(LOG_INFO, p->name, "a parked key is free: nothing waits for it any more");
    f->after = 0;
    park_count(p);
    park_unblock(p);
    p->again = true;
}

static int load_page(struct pipeline *p, struct error *err)
{
    struct park_flow *f = &p->park.flow;
    struct loading to = {.p = p};
    int64_t room = p->delivery->max_in_flight, bytes = p->delivery->max_in_flight_bytes;
    int64_t limit = f->alone > 0 ? 1 : room < PARK_PAGE ? room : PARK_PAGE;
    bytes = bytes < PARK_PAGE_BYTES ? bytes : PARK_PAGE_BYTES;
    take_up(f, parked_released(&p->park.keys)->key);
    f->batch = f->batch ? f->batch : batch_new();
    batch_reset(f->batch);
    f->count = f->put = f->acks = 0;
    f->copy = false;
    memset(f->acked, 0, sizeof f->acked);
    f->begun_us = clock_mono_us();
    if (p->parts.store->waiting_list(p->store, buf_slice(&f->key), f->after, limit, bytes, take,
                                     &to, err) == RESULT_ERROR) {
        return RESULT_ERROR;
    }
    if (to.refused) {
        f->state = PARK_FLOW_REFUSED;
    } else if (f->count > 0) {
        f->state = PARK_FLOW_PUTTING;
    } else {
        key_is_free(p);
    }
    return RESULT_DONE;
}

/* --- to the sink --- */

/* The commit names the last event of the page, so that a start after a crash can remove what was
 * sent from the store. The copy of a dead letter is not in the store, so it is not named. */
static int send_now(struct pipeline *p, struct error *err)
{
    const struct park_flow *f = &p->park.flow;
    return settle_lone(p, &f->batch->events[f->count - 1], f->copy ? 0 : f->ids[f->count - 1], err);
}

/* The events that are put make up the page; the rest comes in the next one. */
static void cut(struct park_flow *f)
{
    f->count = f->put;
}

static void put_page(struct pipeline *p)
{
    struct park_flow *f = &p->park.flow;
    bool commits = p->sink_caps & SINK_COMMITS;
    struct error why;
    size_t taken = 1;
    int rc = RESULT_DONE;
    if (failure_is_slowed(p) || !breaker_allows(&p->breaker, clock_mono_us())) {
        return;
    }
    if (f->put == 0) {
        f->token = ledger_lone_tokens(p->ledger, f->count);
    }
    while (rc == RESULT_DONE && taken > 0 && f->put < f->count) {
        rc = p->parts.sink->put(p->sink, f->batch, f->put, f->count, f->token + f->put, &taken,
                                &why);
        f->put += taken;
    }
    bool refused = rc < 0 && why.class == ERROR_POISON;
    if (refused && f->put == 0) {
        park_flow_refuse(f, &why);
        return;
    }
    if (refused || (rc == RESULT_DONE && commits && taken == 0 && f->put > 0)) {
        cut(f);
        rc = RESULT_DONE;
    }
    if (rc == RESULT_DONE && f->put == f->count) {
        f->state = PARK_FLOW_SENT;
        rc = send_now(p, &why);
    }
    if (rc < 0 && why.class == ERROR_BUSY && f->state == PARK_FLOW_PUTTING) {
        failure_slow_down(p, &why); /* the rest is put later */
    } else if (rc < 0) {
        failure_downstream(p, &why); /* calls park_flow_look_again */
    }
}

/* --- what became of it --- */

static int note_sent(struct pipeline *p, struct error *err)
{
    struct park_flow *f = &p->park.flow;
    int64_t removed = 0, now_us = clock_mono_us();
    fault_point("park_after_ack");
    if (p->parts.store->waiting_sent(p->store, f->after, f->ids[f->count - 1], &removed, err)) {
        return RESULT_ERROR;
    }
    fault_point("park_after_removal");
    progress_beside(&p->progress, f->count);
    metrics_add(&p->parts.metrics->events_delivered, (int64_t)f->count);
    metrics_set(&p->parts.metrics->last_event_us, clock_wall_us());
    breaker_success(&p->breaker);
    if (p->downstream.ready) {
        side_up(p, &p->downstream);
    }
    p->park.waiting -= removed;
    f->after = f->ids[f->count - 1];
    f->alone -= f->alone > 0;
    f->tries = 0;
    f->rest_until_us = now_us + (now_us - f->begun_us);
    park_count(p);
    park_unblock(p);
    return RESULT_DONE;
}

/* It becomes a dead letter, and what is behind it waits on. */
static int note_refused(struct pipeline *p, struct error *err)
{
    struct park_flow *f = &p->park.flow;
    struct store_dead_letter why = {.reason = slice_from(f->why.text),
                                    .code = SLICE_LITERAL("poison"),
                                    .attempts = f->tries > 0 ? f->tries : 1,
                                    .last_failed_us = clock_wall_us()};
    bool done;
    if (p->parts.store->waiting_failed(p->store, f->ids[0], &why, &done, err) ||
        letter_count(p, err)) {
        return RESULT_ERROR;
    }
    metrics_add(&p->parts.metrics->failures[ERROR_POISON], 1);
    char trace[TRACE_SIZE];
    trace_of(&f->batch->events[0], trace);
    log_error_traced(LOG_WARN, p->name, trace,
                     "an event that waited becomes a dead letter, its key stays parked", &f->why);
    if (done) {
        parked_add(&p->park.keys, buf_slice(&f->key), f->ids[0]);
        p->park.waiting--;
    }
    f->tries = 0;
    park_count(p);
    return RESULT_DONE;
}

static int note(struct pipeline *p, struct error *err)
{
    struct park_flow *f = &p->park.flow;
    bool sent = f->state == PARK_FLOW_OVER && !f->copy;
    if (sent ? note_sent(p, err) : note_refused(p, err)) {
        return RESULT_ERROR;
    }
    f->state = PARK_FLOW_IDLE;
    p->again = true;
    return RESULT_DONE;
}

/* delivery.dead_letter_topic gets a copy of each dead letter, before it becomes one. */
static bool wants_copy(const struct pipeline *p)
{
    return p->park.flow.state == PARK_FLOW_REFUSED && !p->park.flow.copy &&
           p->delivery->dead_letter_topic[0];
}

static void make_copy(struct pipeline *p)
{
    struct park_flow *f = &p->park.flow;
    poison_mark(f->batch, 0, f->why.text);
    poison_copy(p, f->batch, &f->batch->events[0]);
    f->copy = true;
    f->count = 1;
    f->put = f->acks = 0;
    f->acked[0] = false;
    f->state = PARK_FLOW_PUTTING;
}

int park_flow_step(struct pipeline *p, struct error *err)
{
    struct park_flow *f = &p->park.flow;
    bool held = f->holding;
    f->holding = f->state != PARK_FLOW_IDLE || wanted(p);
    p->again = p->again || (f->holding && !held);
    if (f->state == PARK_FLOW_IDLE) {
        if (!f->holding || !settle_done(p) || !p->downstream.ready) {
            return RESULT_DONE;
        }
        if (load_page(p, err)) {
            return RESULT_ERROR;
        }
    }
    if (wants_copy(p) && p->downstream.ready) {
        make_copy(p);
    }
    if (f->state == PARK_FLOW_PUTTING && p->downstream.ready) {
        put_page(p);
    }
    if (f->state == PARK_FLOW_OVER || (f->state == PARK_FLOW_REFUSED && !wants_copy(p))) {
        return note(p, err);
    }
    return RESULT_DONE;
}
