/* Parks keys, and stores the events that have to wait. Those are collected for a moment and stored
 * together: a transaction for each would be too slow. */
#include "pipeline/park.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "message/trace.h"
#include "pipeline/internal.h"
#include "pipeline/letter.h"
#include "pipeline/room.h"
#include "pipeline/status.h"
#include <stdio.h>
#include <stdlib.h>

/* What is stored in one transaction, at most; one larger event is stored alone. */
enum { CHUNK_EVENTS = 500, CHUNK_BYTES = 256 * 1024 };

static int add_key(void *ctx, const struct store_parked *k)
{
    struct park *park = ctx;
    parked_add(&park->keys, k->key, k->letter);
    if (k->letter != 0) {
        parked_know(&park->keys, k->key, k->event_id, k->position);
    }
    park->waiting += k->waiting;
    return RESULT_DONE;
}

/* --- what a replay leaves out, because the relay has not sent it, or not as it stands in its row
 * --- */

static int leave_out(void *ctx, struct slice event_id)
{
    struct park *park = ctx;
    parked_add(&park->keys, event_id, 1);
    return RESULT_DONE;
}

static int leave_out_letter(void *ctx, const struct store_dead_letter *d)
{
    bool sent_as_it_is = strcmp(d->state, STORE_LETTER_RETRIED) == 0 && d->edits == 0;
    return sent_as_it_is ? RESULT_DONE : leave_out(ctx, d->event_id);
}

static int leave_out_removed(void *ctx, struct slice event_id, int64_t edits UNUSED)
{
    return leave_out(ctx, event_id);
}

static int load_left_out(struct pipeline *p, struct error *err)
{
    const struct store_ops *store = p->parts.store;
    const struct store_letter_pick all = {.bare = true};
    return store->waiting_ids(p->store, leave_out, &p->park, err) ||
                   store->dead_letter_list(p->store, all, leave_out_letter, &p->park, err) ||
                   store->removed_letters(p->store, leave_out_removed, &p->park, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

int park_load(struct pipeline *p, struct error *err)
{
    struct park *park = &p->park;
    const struct store_ops *store = p->parts.store;
    parked_clear(&park->keys);
    if (p->parts.replay) {
        return load_left_out(p, err);
    }
    park->waiting = 0;
    if (store->parked_list(p->store, add_key, park, err)) {
        return RESULT_ERROR;
    }
    park->stale = park->keys.count > 0;
    park->stale_until = 0;
    park_count(p);
    return RESULT_DONE;
}

void park_look_stale(struct pipeline *p)
{
    struct park *park = &p->park;
    if (!park->stale) {
        return;
    }
    if (park->stale_until == 0 && p->read_to_the_end) {
        park->stale_until = room_read_count(p) + 1;
    }
    park->stale = park->stale_until == 0 || p->progress.events + 1 < park->stale_until;
}

/* Blocks at an event for which there is no room. */
static void block(struct pipeline *p, const struct event *e, const char *what, const char *key,
                  int64_t limit, int64_t letter)
{
    char text[640], trace[TRACE_SIZE];
    trace_of(e, trace);
    snprintf(
        text, sizeof text,
        "event %.*s at position %.*s: %s (%lld, delivery.park.%s): `dead-letters retry` or `drop` %lld, or raise the limit",
        SLICE_FMT(e->id), SLICE_FMT(e->position), what, (long long)limit, key, (long long)letter);
    p->park.full = true;
    pipeline_block(p, text, trace);
}

/* --- events that wait --- */

/* While a suspect event is isolated, and while the breaker is half-open, one event at a time is in
 * the sink. */
static bool one_at_a_time(const struct pipeline *p)
{
    return p->isolate_left > 0 || p->breaker.state == BREAKER_HALF_OPEN;
}

/* Its event settles without being sent. */
static bool pass(struct pipeline *p, const struct ledger_run *run)
{
    run->batch->events[run->from].parked = true;
    p->park.unsettled++;
    p->park.waiting++;
    ledger_opened(p->ledger, 1);
    ledger_complete(p->ledger, run->token);
    park_count(p);
    p->again = true;
    return true;
}

bool park_take(struct pipeline *p, const struct ledger_run *run)
{
    struct park *park = &p->park;
    struct event *e = &run->batch->events[run->from];
    if (p->parts.replay) {
        return pass(p, run);
    }
    if (one_at_a_time(p) && ledger_open_count(p->ledger) > 0) {
        return false;
    }
    /* Those that come again are counted already. */
    int64_t again = park->stale ? p->delivery->max_in_flight : 0;
    if (park->waiting + (int64_t)park->pending_count >= p->delivery->park.max_events + again) {
        if (park->keys.released == 0) { /* else room is being made */
            block(p, e, "no more events may wait behind dead letters", "max_events",
                  p->delivery->park.max_events, parked_find(&park->keys, e->key)->letter);
        }
        return false;
    }
    if (park->pending_count == park->pending_cap) {
        park->pending_cap = park->pending_cap ? park->pending_cap * 2 : 64;
        park->pending =
            memory_need(reallocarray(park->pending, park->pending_cap, sizeof *park->pending));
    }
    if (park->pending_count == 0) {
        park->pending_since_us = clock_mono_us();
    }
    park->pending[park->pending_count++] = (struct park_pending){e, run->token};
    park->pending_bytes += e->bytes;
    e->parked = true;
    ledger_opened(p->ledger, 1);
    return true;
}

/* Until they are stored the frontier stands before them. So they are stored before they take up so
 * much of the room that reading has to wait. */
static bool due(const struct pipeline *p)
{
    const struct park *park = &p->park;
    size_t held = ledger_open_count(p->ledger) + ledger_waiting_count(p->ledger);
    return park->pending_count >= CHUNK_EVENTS || park->pending_bytes >= CHUNK_BYTES ||
           p->draining || p->idle_seen || p->paused || p->settling || p->poisoned || p->giving ||
           park_in_a_hurry(p) || one_at_a_time(p) ||
           held * 2 >= (size_t)p->delivery->max_in_flight ||
           ledger_bytes(p->ledger) * 2 >= (size_t)p->delivery->max_in_flight_bytes ||
           clock_mono_us() >= park->pending_since_us + p->delivery->save_interval_us;
}

/* How many of the pending events go into the next transaction. */
static size_t chunk(const struct park *park)
{
    size_t n = 0, bytes = 0;
    while (n < park->pending_count && n < CHUNK_EVENTS &&
           (n == 0 || bytes + park->pending[n].event->bytes <= CHUNK_BYTES)) {
        bytes += park->pending[n++].event->bytes;
    }
    return n;
}

static int store_chunk(struct pipeline *p, size_t n, struct error *err)
{
    struct park *park = &p->park;
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    struct store_dead_letter *d = arena_array(&arena, n, sizeof *d);
    for (size_t i = 0; i < n; i++) {
        d[i] = letter_of(park->pending[i].event, arena_bytes(&arena, CLOCK_RFC3339_SIZE));
    }
    int64_t added = 0;
    fault_point("park_before_store");
    if (p->parts.store->waiting_put(p->store, d, n, &added, err)) {
        return RESULT_ERROR;
    }
    fault_point("park_after_store");
    park->waiting += added;
    return RESULT_DONE;
}

int park_tend(struct pipeline *p, struct error *err)
{
    struct park *park = &p->park;
    if (park->pending_count == 0 || p->progress.saving || !due(p)) {
        return RESULT_DONE;
    }
    size_t n = chunk(park);
    if (store_chunk(p, n, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < n; i++) {
        park->pending_bytes -= park->pending[i].event->bytes;
        ledger_complete(p->ledger, park->pending[i].token);
    }
    park->unsettled += n;
    park->pending_count -= n;
    memmove(park->pending, park->pending + n, park->pending_count * sizeof *park->pending);
    p->again = p->again || park->pending_count > 0;
    park_count(p);
    settle_take(p);
    return RESULT_DONE;
}

void park_poll(const struct pipeline *p, struct poll_set *set)
{
    if (p->park.pending_count > 0 && !p->progress.saving) {
        poll_set_deadline(set, p->park.pending_since_us + p->delivery->save_interval_us);
    }
    if (park_flow_left(p) && p->park.flow.rest_until_us > clock_mono_us()) {
        poll_set_deadline(set, p->park.flow.rest_until_us);
    }
}

/* --- the dead letter that parks --- */

bool park_may_begin(struct pipeline *p, const struct event *e)
{
    struct park *park = &p->park;
    if ((int64_t)park->keys.count >= p->delivery->park.max_keys && !park_heads(p, e)) {
        if (park->keys.released == 0) {
            block(p, e, "it is poison, and no more keys may be parked", "max_keys",
                  p->delivery->park.max_keys, parked_oldest(&park->keys));
        }
        return false;
    }
    bool settled = settle_done(p);
    p->again = p->again || (!settled && !park->hurry);
    park->hurry = !settled;
    return settled;
}
