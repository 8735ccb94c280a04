/* The state of parking. These functions tell it something or ask it. The work is in park.c and
 * park_flow.c. */
#include "pipeline/park.h"

#include "pipeline/internal.h"
#include <stdlib.h>

void park_release(struct park *park)
{
    parked_clear(&park->keys);
    free(park->pending);
    batch_free(park->flow.batch);
    buf_release(&park->flow.key);
}

void park_count(struct pipeline *p)
{
    metrics_set(&p->parts.metrics->parked_keys, (int64_t)p->park.keys.count);
    metrics_set(&p->parts.metrics->parked_events, p->park.waiting);
}

void park_settled(struct pipeline *p)
{
    p->park.unsettled--;
}

void park_unblock(struct pipeline *p)
{
    if (p->park.full) {
        p->park.full = p->poisoned = false;
    }
}

void park_rewind(struct pipeline *p)
{
    struct park *park = &p->park;
    park->pending_count = park->pending_bytes = 0;
    park->hurry = false;
    park->stale = park->stale || park->unsettled > 0;
    park->stale_until = 0;
    park->unsettled = 0;
    park_unblock(p);
}

bool park_in_a_hurry(const struct pipeline *p)
{
    return p->park.hurry || p->park.flow.holding;
}

/* The copy of a dead letter (poison_copy) is no event of the source, and does not wait. Nor does an
 * event of which nobody else has the rest: the pipeline stops at it. */
static bool may_wait(const struct pipeline *p, const struct event *e)
{
    return !e->copy && (!e->partial || (p->source_caps & SOURCE_ROWS_STAY));
}

bool park_holds(const struct pipeline *p, const struct event *e)
{
    bool may =
        p->park.keys.count > 0 && (p->parts.replay || !slice_is_null(e->key)) && may_wait(p, e);
    struct slice key = p->parts.replay ? e->id : e->key;
    const struct parked_key *k = may ? parked_find(&p->park.keys, key) : NULL;
    return k != NULL;
}

bool park_wanted(const struct pipeline *p, const struct event *e)
{
    return p->delivery->poison == CONF_POISON_PARK_KEY && !p->parts.replay &&
           !slice_is_null(e->key) && may_wait(p, e);
}

void park_begun(struct pipeline *p, const struct event *e, int64_t letter)
{
    parked_add(&p->park.keys, e->key, letter);
    park_count(p);
}

void park_letter_closed(struct pipeline *p, int64_t letter)
{
    if (parked_release(&p->park.keys, letter)) {
        p->park.flow.rest_until_us = 0;
        p->again = true;
    }
}

/* --- what waits and is being sent --- */

bool park_flow_in_hand(const struct pipeline *p)
{
    return p->park.flow.state != PARK_FLOW_IDLE;
}

/* A sink that commits is to have each event once, so nothing is sent that may come again. */
bool park_flow_left(const struct pipeline *p)
{
    bool twice = p->park.stale && (p->sink_caps & SINK_COMMITS);
    return p->park.keys.released > 0 && !twice && !p->paused && !p->draining && !p->ended;
}

/* A copy that is refused changes nothing: the dead letter says why the event was. */
void park_flow_refuse(struct park_flow *f, const struct error *why)
{
    f->why = f->copy ? f->why : *why;
    f->state = PARK_FLOW_REFUSED;
}

/* Keeps of the page what the sink has acknowledged, up to the first that it has not. */
static void keep_acked(struct park_flow *f)
{
    size_t n = 0;
    while (n < f->put && f->acked[n]) {
        n++;
    }
    f->count = n;
    f->state = n > 0 ? PARK_FLOW_OVER : PARK_FLOW_IDLE;
}

/* As after any refusal the sink is started again. One that fails a whole batch does not say which
 * event is to blame, so all of the page are sent alone; one that fails alone often enough is. */
static void suspect(struct pipeline *p, const struct error *why)
{
    struct park_flow *f = &p->park.flow;
    p->downstream.ready = false;
    p->downstream.retry_at_us = 0;
    if (f->count > 1) {
        f->alone = f->count;
        keep_acked(f);
        return;
    }
    f->tries++;
    if (f->copy || f->tries >= p->delivery->attempts || (p->sink_caps & SINK_SINGLE_FAULT)) {
        park_flow_refuse(f, why);
        return;
    }
    p->downstream.retry_at_us = clock_mono_us() + backoff_next(&p->downstream.backoff);
    f->state = PARK_FLOW_IDLE;
}

bool park_flow_reported(struct pipeline *p, uint64_t token, bool delivered, const struct error *why)
{
    struct park_flow *f = &p->park.flow;
    bool out = f->state == PARK_FLOW_PUTTING || f->state == PARK_FLOW_SENT;
    if (!out || token < f->token || token >= f->token + f->put) {
        return false;
    }
    if (!delivered) {
        suspect(p, why);
        return true;
    }
    p->answered = true;
    f->acks += !f->acked[token - f->token];
    f->acked[token - f->token] = true;
    if (f->state == PARK_FLOW_SENT && f->acks == f->count) {
        f->state = PARK_FLOW_OVER;
    }
    return true;
}

void park_flow_look_again(struct pipeline *p, bool all)
{
    struct park_flow *f = &p->park.flow;
    if (f->state == PARK_FLOW_PUTTING || f->state == PARK_FLOW_SENT) {
        keep_acked(f);
    }
    if (all) {
        f->state = PARK_FLOW_IDLE;
        f->after = 0;
    }
}
