/* Poison: events that can never be delivered, for example because they are too large. Such an event
 * must not hold up the others. It is isolated, its dead letter is stored durably, and only then the
 * pipeline goes on behind it. With delivery.poison: stop the pipeline blocks there instead; with
 * park_key later events of its key wait (park.c). */
#include "pipeline/internal.h"

#include "base/fault.h"
#include "base/log.h"
#include "message/trace.h"
#include "pipeline/letter.h"
#include "pipeline/room.h"
#include "pipeline/status.h"
#include <stdio.h>
#include <string.h>

void poison_mark(struct batch *batch, size_t index, const char *why)
{
    batch->events[index].poison = arena_copy(&batch->arena, slice_from(why)).ptr;
}

static int store_dead_letter(struct pipeline *p, const struct event *e, struct error *err)
{
    char created[CLOCK_RFC3339_SIZE];
    struct store_dead_letter d = letter_of(e, created);
    int64_t id = 0;
    metrics_add(&p->parts.metrics->failures[ERROR_POISON], 1);
    d.attempts = p->suspect_tries > 0 ? p->suspect_tries : 1;
    d.first_failed_us = d.last_failed_us = clock_wall_us();
    d.parks = park_wanted(p, e);
    if (p->parts.store->dead_letter_put(p->store, &d, &id, err) || letter_count(p, err)) {
        return RESULT_ERROR;
    }
    fault_point("poison_after_store");
    if (d.parks) {
        park_begun(p, e, id);
    }
    return RESULT_DONE;
}

void poison_copy(struct pipeline *p, struct batch *b, struct event *e)
{
    struct header *h = arena_array(&b->arena, 4, sizeof *h);
    char trace[TRACE_SIZE];
    trace_of(e, trace);
    h[0] = (struct header){SLICE_LITERAL("id"), e->id};
    h[1] = (struct header){SLICE_LITERAL("x-dead-letter-reason"), slice_from(e->poison)};
    h[2] = (struct header){SLICE_LITERAL("x-dead-letter-topic"), arena_copy(&b->arena, e->topic)};
    h[3] = (struct header){SLICE_LITERAL(TRACE_HEADER), arena_copy(&b->arena, slice_from(trace))};
    CLEANUP(buf_release) struct buf again = {0};
    buf_printf(&again, "%.*s%sdead-letter", SLICE_FMT(e->again), e->again.len ? "." : "");
    e->copy = true;
    e->again = arena_copy(&b->arena, buf_slice(&again));
    bool fits = p->max_event == 0 || e->payload.len <= p->max_event;
    e->out_headers = h;
    e->out_headers_count = trace[0] ? 4 : 3;
    e->topic = slice_from(p->delivery->dead_letter_topic);
    e->value = fits ? e->payload : SLICE_NULL;
    e->partition = -1;
    e->poison = NULL;
}

/* A partial event lacks what was too large to read. True if that can still be found in its table,
 * so that a dead letter without it loses nothing. */
static bool has_row(const struct pipeline *p, const struct event *e)
{
    return !e->partial || (p->source_caps & SOURCE_ROWS_STAY);
}

static const char *remedy(const struct pipeline *p, const struct event *e)
{
    return e->copy
               ? "its dead letter is stored; raise what limits that topic and `resume`, or take "
                 "delivery.dead_letter_topic out"
           : !has_row(p, e) ? "mend the cause (too large: raise delivery.max_event_bytes), for "
                              "nobody else has it once it is passed, or pass it with `position set`"
           : p->parts.replay
               ? "mend or remove it and go on with `replay --resume`, or replay a range without it"
               : "mend or remove it and `resume`, or set delivery.poison: skip";
}

static int stop_here(struct pipeline *p, const struct event *e)
{
    char text[1024], trace[TRACE_SIZE];
    trace_of(e, trace);
    snprintf(text, sizeof text, "%s %.*s at position %.*s can never be delivered: %s; %s",
             e->copy ? "the copy for delivery.dead_letter_topic of event" : "event",
             SLICE_FMT(e->id), SLICE_FMT(e->position), e->poison, remedy(p, e));
    metrics_add(&p->parts.metrics->failures[ERROR_POISON], 1);
    pipeline_block(p, text, trace);
    return RESULT_AGAIN;
}

/* In status mode the row says too that its event cannot be delivered, and why. */
static int tell_source(struct pipeline *p, const struct event *e, int64_t next_us,
                       struct error *err)
{
    if (!p->parts.source->note_failure || !p->progress.marks_rows) {
        return RESULT_DONE;
    }
    int64_t tries = p->suspect_tries > 0 ? p->suspect_tries : 1;
    return p->parts.source->note_failure(p->source, e->row_key, tries, e->poison, next_us, err);
}

int poison_head(struct pipeline *p, const struct ledger_run *run)
{
    struct event *e = &run->batch->events[run->from];
    if (e->copy || !has_row(p, e) || p->delivery->poison == CONF_POISON_STOP) {
        return stop_here(p, e);
    }
    if (p->progress.saving) {
        return RESULT_AGAIN; /* the store does one thing at a time */
    }
    struct error err;
    if (store_dead_letter(p, e, &err) || tell_source(p, e, TIME_NONE, &err)) {
        failure_upstream(p, &err);
        return RESULT_AGAIN;
    }
    char trace[TRACE_SIZE];
    trace_of(e, trace);
    log_write_traced(LOG_WARN, p->name, trace, "dead letter: event %.*s at position %.*s: %s",
                     SLICE_FMT(e->id), SLICE_FMT(e->position), e->poison);
    if (p->delivery->dead_letter_topic[0]) {
        poison_copy(p, run->batch, e);
        return RESULT_DONE;
    }
    ledger_opened(p->ledger, 1);
    ledger_complete(p->ledger, run->token);
    return RESULT_DONE;
}

/* The sink has refused an event. A Kafka producer sends many events as one batch, and if the broker
 * refuses the batch each of them is reported, so the report is only a suspicion. All open events
 * are put again, one at a time (isolate_left), and only one that fails alone delivery.attempts
 * times becomes a dead letter. A sink with SINK_SINGLE_FAULT names the guilty event, which is
 * poison at once. What is open before it is put again first. */
void poison_reported(struct pipeline *p, uint64_t token, const struct error *why)
{
    struct ledger_run suspect;
    if (!ledger_find(p->ledger, token, &suspect)) {
        return;
    }
    bool certain = p->sink_caps & SINK_SINGLE_FAULT;
    bool alone = p->isolate_left > 0 && ledger_open_count(p->ledger) == 1;
    p->downstream.ready = p->committing = false;
    p->downstream.retry_at_us = 0;
    metrics_add(&p->parts.metrics->retries, 1);
    char trace[TRACE_SIZE];
    trace_of(&suspect.batch->events[suspect.from], trace);
    log_error_traced(LOG_WARN, p->name, trace,
                     alone ? "suspect event, sent alone" : "isolating a refused event", why);
    if (!certain && !alone) {
        p->isolate_left = ledger_open_count(p->ledger);
        p->suspect_tries = 0;
    } else if (!certain && ++p->suspect_tries < p->delivery->attempts) {
        p->downstream.retry_at_us = clock_mono_us() + backoff_next(&p->downstream.backoff);
    } else {
        poison_mark(suspect.batch, suspect.from, why->text);
    }
    room_rewind(p);
}
