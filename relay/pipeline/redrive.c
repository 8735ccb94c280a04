/* Sends dead letters again. After a crash between the acknowledgement and the note in the store, a
 * letter is sent once more under the same id; a sink that commits has recorded it in the commit. */
#include "pipeline/redrive.h"

#include "base/fault.h"
#include "base/log.h"
#include "message/trace.h"
#include "pipeline/internal.h"
#include "pipeline/letter.h"
#include "pipeline/side.h"
#include "pipeline/status.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- from a dead letter to an event --- */

struct reading {
    struct pipeline *p;
    bool found, open, holds_event;
};

/* Which sending it is: another one once the letter was edited or has failed again, and the same one
 * after a crash. */
static struct slice sending(struct batch *b, const struct store_dead_letter *d)
{
    char text[96];
    snprintf(text, sizeof text, "retry-%lld.%lld.%lld", (long long)d->id, (long long)d->edits,
             (long long)d->last_failed_us);
    return arena_copy(&b->arena, slice_from(text));
}

static int take_letter(void *ctx, const struct store_dead_letter *stored)
{
    struct reading *to = ctx;
    struct redrive *r = &to->p->redrive;
    letter_event(to->p, r->batch, stored)->again = sending(r->batch, stored);
    to->found = true;
    to->open = store_letter_is_open(stored);
    to->holds_event = letter_holds_event(stored);
    r->edits = stored->edits;
    return RESULT_DONE;
}

static void pass(struct redrive *r, size_t *count)
{
    (*count)++;
    r->next++;
    r->state = REDRIVE_BETWEEN;
}

static void remember_why(struct redrive *r, const char *text)
{
    if (!r->first_why[0]) {
        snprintf(r->first_why, sizeof r->first_why, "%.300s", text);
    }
}

/* Reads the next letter and makes an event of it, with the route and the format of today. */
static int read_letter(struct pipeline *p, struct error *err)
{
    struct redrive *r = &p->redrive;
    struct reading to = {.p = p};
    struct error why;
    r->batch = r->batch ? r->batch : batch_new();
    batch_reset(r->batch);
    if (p->parts.store->dead_letter_list(p->store, store_letter_number(r->letters[r->next]),
                                         take_letter, &to, err)) {
        return RESULT_ERROR;
    }
    if (!to.found || !to.open) {
        pass(r, &r->unchanged);
        return RESULT_DONE;
    }
    if (!to.holds_event) { /* not tried: the reason that is stored says more */
        char text[128];
        snprintf(
            text, sizeof text,
            "dead letter %lld does not hold its event; give it a payload (`dead-letters edit`) or drop it",
            (long long)r->letters[r->next]);
        remember_why(r, text);
        pass(r, &r->failed);
    } else if (feed_prepare_again(p, r->batch, &r->batch->events[0], &why)) {
        redrive_failed(p, &why);
    } else {
        r->state = REDRIVE_READY;
    }
    return RESULT_DONE;
}

/* --- to the sink --- */

static int send_now(struct pipeline *p, struct error *err)
{
    const struct redrive *r = &p->redrive;
    return settle_lone(p, &r->batch->events[0], r->letters[r->next], err);
}

static void put_letter(struct pipeline *p)
{
    struct redrive *r = &p->redrive;
    struct error why;
    size_t taken = 0;
    if (failure_is_slowed(p) || !breaker_allows(&p->breaker, clock_mono_us())) {
        return;
    }
    r->token = ledger_lone_tokens(p->ledger, 1);
    int rc = p->parts.sink->put(p->sink, r->batch, 0, 1, r->token, &taken, &why);
    if (rc == RESULT_DONE && taken > 0) {
        r->state = REDRIVE_SENT;
        rc = send_now(p, &why);
    }
    if (rc < 0 && why.class == ERROR_POISON) {
        redrive_failed(p, &why);
    } else if (rc < 0 && why.class == ERROR_BUSY && r->state == REDRIVE_READY) {
        failure_slow_down(p, &why);
    } else if (rc < 0) {
        failure_downstream(p, &why); /* calls redrive_sink_failed */
    }
}

/* --- what became of it --- */

static int note_sent(struct pipeline *p, struct error *err)
{
    struct redrive *r = &p->redrive;
    const struct event *e = &r->batch->events[0];
    int64_t now_us = clock_wall_us();
    bool closed = false;
    fault_point("redrive_after_ack");
    if (p->parts.store->dead_letter_close(p->store, r->letters[r->next], STORE_LETTER_RETRIED,
                                          r->edits, now_us, &closed, err)) {
        return RESULT_ERROR;
    }
    fault_point("redrive_after_note");
    char trace[TRACE_SIZE];
    trace_of(e, trace);
    log_write_traced(LOG_INFO, p->name, trace, "dead letter %lld sent again: event %.*s",
                     (long long)r->letters[r->next], SLICE_FMT(e->id));
    acts_letter(p, "dead_letter_retry", p->control.who, r->letters[r->next],
                closed ? STORE_LETTER_RETRIED : STORE_LETTER_OPEN);
    progress_beside(&p->progress, 1);
    metrics_add(&p->parts.metrics->events_delivered, 1);
    metrics_set(&p->parts.metrics->last_event_us, now_us);
    breaker_success(&p->breaker);
    if (p->downstream.ready) {
        side_up(p, &p->downstream);
    }
    if (closed) {
        park_letter_closed(p, r->letters[r->next]);
    }
    pass(r, closed ? &r->sent : &r->edited);
    return letter_count(p, err);
}

static int note_failed(struct pipeline *p, struct error *err)
{
    struct redrive *r = &p->redrive;
    bool noted;
    if (p->parts.store->dead_letter_failed(p->store, r->letters[r->next], slice_from(r->why.text),
                                           clock_wall_us(), &noted, err)) {
        return RESULT_ERROR;
    }
    char trace[TRACE_SIZE];
    trace_of(&r->batch->events[0], trace);
    log_error_traced(LOG_WARN, p->name, trace, "a dead letter was not delivered", &r->why);
    acts_letter(p, "dead_letter_retry", p->control.who, r->letters[r->next], STORE_LETTER_OPEN);
    remember_why(r, r->why.text);
    r->gave_up = r->why.class != ERROR_POISON;
    pass(r, &r->failed);
    return RESULT_DONE;
}

/* The sink is known to be down: nothing is tried, and no letter is blamed for it. A daemon says so
 * at once, for it serves others meanwhile. A command without one has time. */
static bool sink_is_down(struct pipeline *p)
{
    struct redrive *r = &p->redrive;
    bool alone = p->parts.one_order;
    bool busy = alone && p->busy_from_us > 0 && nothing_for_long(p, p->busy_from_us);
    bool down = !p->downstream.ready && p->downstream.failures > 0 &&
                (!alone || nothing_for_long(p, p->downstream.first_failed_at_us));
    if (!busy && !down) {
        return false;
    }
    char text[sizeof r->first_why];
    snprintf(text, sizeof text, "%s%s: %.240s", busy ? "it takes nothing" : "the pipeline is ",
             busy ? "" : pipeline_state_name(p->status.state), busy ? p->slowed : p->status.detail);
    remember_why(r, text);
    return r->gave_up = true;
}

int redrive_step(struct pipeline *p, bool *ret_over, struct error *err)
{
    struct redrive *r = &p->redrive;
    *ret_over = false;
    if (r->state == REDRIVE_READY && p->parts.one_order && sink_is_down(p)) {
        r->state = REDRIVE_BETWEEN; /* it was not put */
    }
    if (r->state == REDRIVE_BETWEEN && settle_done(p) && !park_flow_in_hand(p) && !p->draining) {
        *ret_over = r->next == r->count || r->gave_up || sink_is_down(p);
        if (*ret_over || !p->downstream.ready) {
            return RESULT_DONE;
        }
        if (read_letter(p, err)) {
            return RESULT_ERROR;
        }
        p->again = true;
    }
    if (r->state == REDRIVE_READY && p->downstream.ready) {
        put_letter(p);
    }
    if (r->state == REDRIVE_ACKED || r->state == REDRIVE_FAILED) {
        p->again = true;
        return r->state == REDRIVE_ACKED ? note_sent(p, err) : note_failed(p, err);
    }
    return RESULT_DONE;
}
