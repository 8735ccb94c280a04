/* Reads events from the source while there is room, prepares them (mask, encode, route, check the
 * size), and puts them into the sink in the order in which they were read. */
#include "pipeline/internal.h"

#include "base/fault.h"
#include "base/log.h"
#include "pipeline/formats.h"
#include "pipeline/room.h"
#include <assert.h>

/* Encodes a table change and adds its bytes to those of the event and the batch. They are known
 * only now: a format may make a long text from a row of three numbers. */
static int change(struct pipeline *p, struct batch *b, struct event *e, struct error *err)
{
    int rc = encode_change(&p->encode, e, &b->arena, err) || framing_embed(p, b, e, err)
                 ? RESULT_ERROR
                 : RESULT_DONE;
    size_t bytes = e->key.len + e->payload.len + e->headers.len;
    e->bytes += bytes;
    b->bytes += bytes;
    return rc;
}

/* Before all else, so that nothing behind it can show what is masked: no message, dead letter, file
 * or error text. */
static int mask(struct pipeline *p, struct batch *b, struct event *e, struct error *err)
{
    if (!p->mask) {
        return RESULT_DONE;
    }
    size_t before = b->arena.total;
    int rc = mask_event(p->mask, e, &b->arena, err);
    e->bytes += b->arena.total - before;
    b->bytes += b->arena.total - before;
    return rc;
}

/* A path that is spelled wrong masks nothing, and nobody would see that. */
static void warn_unmatched(struct pipeline *p)
{
    const char *field;
    while ((field = mask_unmatched(p->mask)) != NULL) {
        log_write(LOG_WARN, p->name,
                  "mask: `%s` has matched nothing in the first %d events; is it spelled right?",
                  field, MASK_PATIENCE);
    }
}

/* The source has marked this event as poison. Its dead letter should still tell topic and key, if
 * they can be computed from what was read. */
static void route_as_far_as_known(const struct pipeline *p, struct batch *b, struct event *e)
{
    struct error ignored;
    if (e->change || (!e->columns && p->source_env.columns_count > 0)) {
        return;
    }
    (void)!formats_add_columns(p->parts.conf, p->route, e, &b->arena, &ignored);
    if (route_apply(p->route, e, &b->arena, &ignored)) {
        e->partition = -1;
    }
}

static int check_size(const struct pipeline *p, const struct event *e, struct error *err)
{
    size_t own = (size_t)p->delivery->max_event_bytes;
    size_t read = e->key.len + e->payload.len + e->headers.len;
    size_t bytes = e->value.len > read ? e->value.len : read;
    if (own && bytes > own) {
        return error_set(err, ERROR_POISON, "pipeline",
                         "its %zu bytes are more than the %zu of delivery.max_event_bytes", bytes,
                         own);
    }
    if (p->max_event && e->value.len > p->max_event) {
        return error_set(err, ERROR_POISON, "sink",
                         "its value of %zu bytes is larger than the %zu the sink takes",
                         e->value.len, p->max_event);
    }
    return RESULT_DONE;
}

/* Schemas are known by the change, so this comes before it is gone. */
static int frame(struct pipeline *p, struct batch *b, struct event *e, struct error *err)
{
    if (e->change && framing_of_change(p, e, err)) {
        return RESULT_ERROR;
    }
    if (framing_apply(p, b, e, err)) {
        return RESULT_ERROR;
    }
    if (!slice_is_null(e->wire_key)) {
        e->bytes += e->wire_key.len + e->value.len;
        b->bytes += e->wire_key.len + e->value.len;
    }
    return RESULT_DONE;
}

/* Masks, encodes and routes an event, once. One that cannot be sent is marked as poison here, and
 * dealt with by poison_head when it is the first that waits. */
static int prepare(struct pipeline *p, struct batch *b, struct event *e, size_t index,
                   struct error *err)
{
    if (p->parts.replay) {
        e->again = slice_from(p->parts.replay->id);
    }
    if (mask(p, b, e, err) && !e->poison) {
        poison_mark(b, index, err->text);
    }
    if (e->poison) {
        route_as_far_as_known(p, b, e);
        return RESULT_DONE;
    }
    int rc = e->change ? change(p, b, e, err) : RESULT_DONE;
    e->unencoded = rc;
    if (!rc) {
        rc = formats_add_columns(p->parts.conf, p->route, e, &b->arena, err);
    }
    if (!rc) {
        rc = route_apply(p->route, e, &b->arena, err);
    }
    if (!rc && (p->sink_caps & SINK_MESSAGES)) {
        rc = encode_message(&p->encode, e, &b->arena, err) || frame(p, b, e, err) ? RESULT_ERROR
                                                                                  : RESULT_DONE;
    }
    e->change = NULL; /* it is the source's, and the next read overwrites it */
    rc = rc ? rc : check_size(p, e, err);
    if (rc && err->class == ERROR_POISON) {
        poison_mark(b, index, err->text);
        rc = RESULT_DONE;
    }
    return rc;
}

int feed_prepare_again(struct pipeline *p, struct batch *b, struct event *e, struct error *err)
{
    int rc = formats_add_columns(p->parts.conf, NULL, e, &b->arena, err);
    rc = rc ? rc : route_again(p->route, e, err);
    if (!rc && (p->sink_caps & SINK_MESSAGES)) {
        rc = encode_message(&p->encode, e, &b->arena, err) || framing_apply(p, b, e, err)
                 ? RESULT_ERROR
                 : RESULT_DONE;
    }
    return rc ? rc : check_size(p, e, err);
}

size_t feed_framed(struct pipeline *p, struct batch *b, size_t from, size_t n)
{
    struct error err;
    for (size_t i = 0; i < n; i++) {
        struct event *e = &b->events[from + i];
        if (e->unframed && (framing_apply(p, b, e, &err) || check_size(p, e, &err))) {
            e->unframed = false;
            poison_mark(b, from + i, err.text);
            return i;
        }
        if (e->unframed) {
            return i;
        }
    }
    return n;
}

/* A read gave nothing: with --until-idle, ask whether all is done. */
static int caught_up(struct pipeline *p, struct error *err)
{
    if (!p->parts.until_idle) {
        return RESULT_DONE;
    }
    bool idle = true;
    if (p->parts.source->idle && p->parts.source->idle(p->source, &idle, err)) {
        return RESULT_ERROR;
    }
    p->idle_seen = idle;
    p->again = idle;
    return RESULT_DONE;
}

int feed_read(struct pipeline *p, struct error *err)
{
    assert(!p->dropped);
    if (!p->reading) {
        p->reading = room_empty_batch(p);
    }
    size_t room = room_events(p), left = rate_left(&p->rate, clock_mono_us());
    int rc =
        p->parts.source->read(p->source, p->reading, room < left ? room : left, room_bytes(p), err);
    if (rc == RESULT_AGAIN) {
        return RESULT_DONE;
    }
    struct batch *b = p->reading;
    p->read_to_the_end =
        rc == RESULT_DONE && b->count == 0 &&
        (!p->parts.source->passed_start || p->parts.source->passed_start(p->source));
    bool idle = b->count == 0 && (p->source_caps & SOURCE_TRANSACTIONS);
    if (rc == RESULT_DONE && (idle || b->after_end)) {
        ledger_end_transaction(p->ledger);
    }
    if (rc || b->count == 0) {
        room_give_back(p, b);
        p->reading = NULL;
        if (p->read_to_the_end && p->parts.sink->caught_up && p->downstream.ready &&
            ledger_waiting_count(p->ledger) == 0) {
            p->parts.sink->caught_up(p->sink);
        }
        return rc ? rc : caught_up(p, err);
    }
    for (size_t i = 0; i < b->count; i++) {
        if (prepare(p, b, &b->events[i], i, err)) {
            return RESULT_ERROR;
        }
    }
    warn_unmatched(p);
    metrics_add(&p->parts.metrics->events_read, (int64_t)b->count);
    rate_take(&p->rate, b->count);
    p->again = true;
    p->reading = NULL;
    ledger_admit(p->ledger, b);
    room_took(p);
    return RESULT_DONE;
}

/* Each event is put alone, and the next one when it is acknowledged. Not to try a sink that keeps
 * transactions together: it would split one. */
static bool one_alone(const struct pipeline *p)
{
    bool trial = p->breaker.state == BREAKER_HALF_OPEN && !(p->sink_caps & SINK_WHOLE);
    return p->isolate_left > 0 || trial;
}

/* How many of the run may be put now: up to the first event that is poisoned or has to wait behind
 * a dead letter, and one alone while isolating or half-open. */
static size_t limit_run(struct pipeline *p, const struct ledger_run *run)
{
    if (one_alone(p)) {
        return ledger_open_count(p->ledger) > 0 ? 0 : 1;
    }
    size_t n = 0;
    const struct event *e = &run->batch->events[run->from];
    while (run->from + n < run->to && !e[n].poison && !park_holds(p, &e[n])) {
        n++;
    }
    return n;
}

/* How many of the waiting events may be put now. A sink that does not split transactions gets them
 * once their end is known; one that fills the window alone is given as far as it is there. */
static size_t may_put(struct pipeline *p)
{
    size_t waiting = ledger_waiting_count(p->ledger);
    if (!(p->sink_caps & SINK_WHOLE)) {
        return waiting;
    }
    size_t whole = ledger_waiting_whole(p->ledger);
    bool full = ledger_open_count(p->ledger) == 0 && !p->reading && !room_may_read(p);
    return whole > 0 || !full ? whole : waiting;
}

bool feed_may_put(const struct pipeline *p)
{
    return !p->draining && !p->paused && !p->poisoned && !p->settling && !p->committing &&
           !p->park.flow.holding;
}

int feed_put(struct pipeline *p, struct error *err)
{
    struct ledger_run run;
    size_t left = may_put(p);
    while (left > 0 && feed_may_put(p) && !failure_is_slowed(p) &&
           breaker_allows(&p->breaker, clock_mono_us()) && ledger_next(p->ledger, &run)) {
        const struct event *first = &run.batch->events[run.from];
        bool again = park_heads(p, first);
        if (!again && park_holds(p, first)) {
            if (!park_take(p, &run)) {
                break;
            }
            left--;
            continue;
        }
        if (again || first->poison) {
            if (park_wanted(p, first) && !park_may_begin(p, first)) {
                break;
            }
            if (poison_head(p, &run) == RESULT_DONE) {
                settle_take(p); /* else the pipeline could end before its row is marked and saved */
                /* A dead letter takes time, and thousands may follow. So only one is written in a
                 * round: timers and commands must not wait for all of them. */
                p->again = true;
            }
            break;
        }
        size_t n = limit_run(p, &run), taken = 0;
        n = feed_framed(p, run.batch, run.from, n < left ? n : left);
        if (n == 0 && run.batch->events[run.from].poison) {
            continue;
        }
        if (n == 0 && run.batch->events[run.from].unframed && !failure_unframed(p, err)) {
            return RESULT_ERROR;
        }
        if (n == 0) {
            break;
        }
        int rc =
            p->parts.sink->put(p->sink, run.batch, run.from, run.from + n, run.token, &taken, err);
        ledger_opened(p->ledger, taken);
        if (taken > 0) {
            flight_put(&p->flight, run.token + taken - 1, clock_mono_us());
        }
        left -= taken;
        p->unflushed = p->unflushed || taken > 0;
        fault_point("feed_after_put");
        if (rc < 0 && err->class == ERROR_POISON) {
            poison_mark(run.batch, run.from + taken, err->text);
            continue;
        }
        if (rc < 0 && err->class == ERROR_BUSY) {
            failure_slow_down(p, err);
            break;
        }
        if (rc < 0 || taken < n) {
            return rc < 0 ? rc : RESULT_DONE;
        }
    }
    return RESULT_DONE;
}

/* What the source gives next will be put soon, so that what was put waits for it. */
static bool more_comes(struct pipeline *p)
{
    const struct source_ops *source = p->parts.source;
    return source->behind && !one_alone(p) && room_may_read(p) && source->behind(p->source);
}

void feed_flush(struct pipeline *p)
{
    if (!p->unflushed || !p->parts.sink->flush || more_comes(p)) {
        return;
    }
    p->unflushed = false;
    p->parts.sink->flush(p->sink);
}
