/*
 * Keeps the messages of a key apart (lanes.h). Two lists run through the ring of messages: a lane
 * links the messages of a key, and another list those that are under way, oldest first.
 */
#include "sink/kit/lanes.h"

#include "base/fnv1a.h"
#include "base/memory.h"

#include <assert.h>
#include <string.h>

enum { RING_MIN = 256, LANES_MIN = 1024, LANES_MAX = 1 << 20 };

enum lane_state { LANE_DONE, LANE_WAITS, LANE_SENT, LANE_REFUSED };

struct lane_entry {
    void *load; /* NULL once it was taken */
    const void *about;
    uint64_t next;          /* the message behind it in its lane; 0: none yet */
    uint64_t before, after; /* in the list of those under way; 0: none */
    int64_t sent_us;
    enum lane_state state;
};

static struct lane_entry *entry(const struct lanes *l, uint64_t token)
{
    return &l->ring[token & (l->cap - 1)];
}

static bool has(const struct lanes *l, uint64_t token)
{
    return token >= l->head && token < l->end;
}

void lanes_init(struct lanes *l, size_t max, void (*drop)(void *load))
{
    memset(l, 0, sizeof *l);
    l->drop = drop;
    l->cap = RING_MIN;
    l->ring = memory_need(calloc(l->cap, sizeof *l->ring));
    l->lanes = LANES_MIN;
    while (l->lanes < 4 * max && l->lanes < LANES_MAX) {
        l->lanes *= 2;
    }
    l->last = memory_need(calloc(l->lanes, sizeof *l->last));
}

void lanes_clear(struct lanes *l)
{
    for (uint64_t t = l->head; t < l->end; t++) {
        struct lane_entry *e = entry(l, t);
        if (e->load) {
            l->drop(e->load);
        }
        *e = (struct lane_entry){0};
    }
    l->head = l->end;
    l->open = 0;
    l->oldest = l->newest = 0;
}

void lanes_release(struct lanes *l)
{
    if (l->ring) {
        lanes_clear(l);
    }
    free(l->ring);
    free(l->last);
    memset(l, 0, sizeof *l);
}

static void grow(struct lanes *l)
{
    assert(l->cap > 0);
    size_t cap = l->cap * 2;
    struct lane_entry *ring = memory_need(calloc(cap, sizeof *ring));
    for (uint64_t t = l->head; t < l->end; t++) {
        ring[t & (cap - 1)] = *entry(l, t);
    }
    free(l->ring);
    l->ring = ring;
    l->cap = cap;
}

/* The upper half is folded in, because the lowest bits choose the lane. */
static size_t lane_of(const struct lanes *l, struct slice key)
{
    uint64_t h = fnv1a_add(FNV1A_START, key);
    return (size_t)(h ^ h >> 32) & (l->lanes - 1);
}

/* Tokens between the last and this one were never given to us, and count as done. */
static void make_room(struct lanes *l, uint64_t token)
{
    assert(token >= l->end && token > 0);
    if (l->open == 0) {
        l->head = l->end = token;
    }
    while (l->end <= token) {
        if (l->end - l->head == l->cap) {
            grow(l);
        }
        *entry(l, l->end++) = (struct lane_entry){0};
    }
}

bool lanes_add(struct lanes *l, uint64_t token, struct slice key, void *take_load,
               const void *about)
{
    make_room(l, token);
    struct lane_entry *e = entry(l, token);
    e->load = take_load;
    e->about = about;
    e->state = LANE_WAITS;
    l->open++;
    if (slice_is_null(key)) {
        return true;
    }
    uint64_t *last = &l->last[lane_of(l, key)], before = *last;
    *last = token;
    if (!has(l, before) || entry(l, before)->state == LANE_DONE) {
        return true;
    }
    entry(l, before)->next = token;
    return false;
}

void *lanes_load(const struct lanes *l, uint64_t token)
{
    assert(has(l, token) && entry(l, token)->state == LANE_WAITS);
    return entry(l, token)->load;
}

void *lanes_take(struct lanes *l, uint64_t token, int64_t now_us)
{
    struct lane_entry *e = entry(l, token);
    assert(has(l, token) && e->state == LANE_WAITS);
    void *load = e->load;
    e->load = NULL;
    e->state = LANE_SENT;
    e->sent_us = now_us;
    e->before = l->newest;
    e->after = 0;
    if (l->newest) {
        entry(l, l->newest)->after = token;
    } else {
        l->oldest = token;
    }
    l->newest = token;
    return load;
}

static void unlink_sent(struct lanes *l, struct lane_entry *e)
{
    if (e->before) {
        entry(l, e->before)->after = e->after;
    } else {
        l->oldest = e->after;
    }
    if (e->after) {
        entry(l, e->after)->before = e->before;
    } else {
        l->newest = e->before;
    }
}

static bool is(const struct lanes *l, uint64_t token, enum lane_state state)
{
    return has(l, token) && entry(l, token)->state == state;
}

const void *lanes_about(const struct lanes *l, uint64_t token)
{
    bool known = is(l, token, LANE_SENT) || is(l, token, LANE_REFUSED);
    return known ? entry(l, token)->about : NULL;
}

bool lanes_refuse(struct lanes *l, uint64_t token, void *take_answer)
{
    if (!is(l, token, LANE_SENT)) {
        return false;
    }
    struct lane_entry *e = entry(l, token);
    unlink_sent(l, e);
    e->state = LANE_REFUSED;
    e->load = take_answer;
    return true;
}

bool lanes_done(struct lanes *l, uint64_t token, uint64_t *ret_next)
{
    struct lane_entry *e = entry(l, token);
    if (is(l, token, LANE_SENT)) {
        unlink_sent(l, e);
    } else if (is(l, token, LANE_REFUSED)) {
        l->drop(e->load);
        e->load = NULL;
    } else {
        return false;
    }
    e->state = LANE_DONE;
    *ret_next = e->next;
    l->open--;
    while (l->head < l->end && entry(l, l->head)->state == LANE_DONE) {
        l->head++;
    }
    return true;
}

void *lanes_first_refused(const struct lanes *l)
{
    bool refused = l->open > 0 && entry(l, l->head)->state == LANE_REFUSED;
    return refused ? entry(l, l->head)->load : NULL;
}

uint64_t lanes_first(const struct lanes *l)
{
    return l->open > 0 ? l->head : 0;
}

int64_t lanes_oldest_us(const struct lanes *l)
{
    return l->oldest ? entry(l, l->oldest)->sent_us : DEADLINE_NEVER;
}
