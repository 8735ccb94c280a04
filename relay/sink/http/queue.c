/*
 * Lanes of events (queue.h).
 */
#include "sink/http/queue.h"

#include "base/fnv1a.h"
#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

/* So many lanes whose next event does not fit into a request are looked at before it is sent. */
enum { LOOKS = 64 };

void http_queue_init(struct http_queue *q, size_t cap)
{
    memset(q, 0, sizeof *q);
    q->cap = cap;
    q->entries = memory_need(calloc(cap, sizeof *q->entries));
    q->lanes = memory_need(calloc(HTTP_LANES, sizeof *q->lanes));
    http_queue_reset(q);
}

void http_queue_release(struct http_queue *q)
{
    free(q->entries);
    free(q->lanes);
}

void http_queue_reset(struct http_queue *q)
{
    for (size_t i = 0; i < HTTP_LANES; i++) {
        q->lanes[i] = (struct http_lane){.first = HTTP_NONE, .last = HTTP_NONE};
    }
    for (size_t i = 0; i < q->cap; i++) {
        q->entries[i] = (struct http_entry){.next = i + 1 < q->cap ? (uint32_t)(i + 1) : HTTP_NONE};
    }
    q->free = 0;
    q->ready_first = q->ready_last = HTTP_NONE;
    q->count = q->waiting = q->waiting_bytes = 0;
    q->limit = UINT64_MAX;
}

static uint16_t lane_of(const struct event *e, uint64_t token)
{
    if (slice_is_null(e->key)) {
        return (uint16_t)(token % HTTP_LANES);
    }
    uint64_t hash = fnv1a_add(FNV1A_START, e->key);
    return (uint16_t)((hash ^ hash >> 32) % HTTP_LANES);
}

/* --- the list of ready lanes --- */

static void make_ready(struct http_queue *q, uint32_t lane, bool in_front)
{
    struct http_lane *l = &q->lanes[lane];
    if (l->ready || l->busy || l->first == HTTP_NONE) {
        return;
    }
    l->ready = true;
    l->next = in_front ? q->ready_first : HTTP_NONE;
    if (q->ready_first == HTTP_NONE) {
        q->ready_first = q->ready_last = lane;
    } else if (in_front) {
        q->ready_first = lane;
    } else {
        q->lanes[q->ready_last].next = lane;
        q->ready_last = lane;
    }
}

static void unlink_ready(struct http_queue *q, uint32_t before, uint32_t lane)
{
    struct http_lane *l = &q->lanes[lane];
    if (before == HTTP_NONE) {
        q->ready_first = l->next;
    } else {
        q->lanes[before].next = l->next;
    }
    if (q->ready_last == lane) {
        q->ready_last = before;
    }
    l->ready = false;
}

/* --- entries --- */

bool http_queue_add(struct http_queue *q, const struct event *e, uint64_t token, int64_t now_us)
{
    uint32_t i = q->free;
    if (i == HTTP_NONE) {
        return false;
    }
    struct http_entry *entry = &q->entries[i];
    q->free = entry->next;
    *entry = (struct http_entry){.event = e,
                                 .token = token,
                                 .put_us = now_us,
                                 .next = HTTP_NONE,
                                 .lane = lane_of(e, token),
                                 .used = true};
    struct http_lane *l = &q->lanes[entry->lane];
    if (l->first == HTTP_NONE) {
        l->first = l->last = i;
    } else {
        q->entries[l->last].next = i;
        l->last = i;
    }
    q->count++;
    q->waiting++;
    q->waiting_bytes += e->value.len;
    make_ready(q, entry->lane, false);
    return true;
}

static uint32_t take_first(struct http_queue *q, struct http_lane *l)
{
    uint32_t i = l->first;
    l->first = q->entries[i].next;
    l->last = l->first == HTTP_NONE ? HTTP_NONE : l->last;
    q->waiting--;
    q->waiting_bytes -= q->entries[i].event->value.len;
    return i;
}

uint32_t http_queue_next(const struct http_queue *q)
{
    for (uint32_t lane = q->ready_first; lane != HTTP_NONE; lane = q->lanes[lane].next) {
        if (q->entries[q->lanes[lane].first].token < q->limit) {
            return q->lanes[lane].first;
        }
    }
    return HTTP_NONE;
}

size_t http_queue_take(struct http_queue *q, uint32_t *out, size_t most, http_queue_fits *fits,
                       void *ctx)
{
    size_t n = 0, misses = 0;
    uint32_t before = HTTP_NONE, lane = q->ready_first, next;
    for (; lane != HTTP_NONE && n < most && misses < LOOKS; lane = next) {
        struct http_lane *l = &q->lanes[lane];
        size_t had = n;
        next = l->next;
        while (n < most && l->first != HTTP_NONE && q->entries[l->first].token < q->limit &&
               (n == 0 || fits(ctx, &q->entries[l->first]))) {
            out[n++] = take_first(q, l);
        }
        if (n > had) {
            unlink_ready(q, before, lane);
            l->busy = true;
        } else {
            before = lane;
            misses += n > 0; /* until there is a first one the search goes on */
        }
    }
    return n;
}

void http_queue_give_back(struct http_queue *q, const uint32_t *entries, size_t count, bool alone)
{
    for (size_t i = count; i-- > 0;) {
        struct http_entry *e = &q->entries[entries[i]];
        struct http_lane *l = &q->lanes[e->lane];
        e->alone = e->alone || alone;
        e->next = l->first;
        l->first = entries[i];
        l->last = l->last == HTTP_NONE ? entries[i] : l->last;
        q->waiting++;
        q->waiting_bytes += e->event->value.len;
    }
    for (size_t i = count; i-- > 0;) {
        q->lanes[q->entries[entries[i]].lane].busy = false;
        make_ready(q, q->entries[entries[i]].lane, true);
    }
}

void http_queue_done(struct http_queue *q, const uint32_t *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct http_entry *e = &q->entries[entries[i]];
        assert(e->used);
        q->lanes[e->lane].busy = false;
        make_ready(q, e->lane, false);
        e->used = false;
        e->next = q->free;
        q->free = entries[i];
        q->count--;
    }
}

uint64_t http_queue_oldest(const struct http_queue *q)
{
    uint64_t oldest = UINT64_MAX;
    for (size_t i = 0; i < q->cap; i++) {
        if (q->entries[i].used && q->entries[i].token < oldest) {
            oldest = q->entries[i].token;
        }
    }
    return oldest;
}
