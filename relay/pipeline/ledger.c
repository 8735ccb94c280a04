/* Keeps the events that are not settled, and the frontier: everything up to it is delivered. Only
 * that may be confirmed to the source. Example: 1 and 3 are acknowledged and 2 is not. If 3 were
 * confirmed and the relay crashed, 2 would be lost. */
#include "pipeline/ledger.h"

#include "base/memory.h"
#include <assert.h>
#include <stdlib.h>

/* Events are numbered in the order in which they were admitted. token = number + shift; each rewind
 * makes shift larger, so that the tokens given before it are never used again. */
struct ledger {
    struct batch *dropped;     /* no longer counted, not yet freed */
    struct batch *head, *tail; /* batches with unsettled events, oldest first */
    uint64_t head_number;      /* of head->events[0] */
    struct batch *next_batch;  /* the batch of `next`; NULL when nothing waits */
    uint64_t next_batch_number;
    uint64_t taken;    /* settled events up to here were handed out */
    uint64_t frontier; /* everything below is settled */
    uint64_t next;     /* everything below was put */
    uint64_t end;      /* everything below was admitted */
    uint64_t shift;
    size_t bytes;
    uint8_t *done; /* ring over [frontier, next): acknowledged? */
    size_t ring;   /* a power of two */
};

static void grow_ring(struct ledger *l, uint64_t need)
{
    size_t ring = l->ring;
    while (ring < need) {
        ring *= 2;
    }
    if (ring == l->ring) {
        return;
    }
    uint8_t *done = memory_need(calloc(ring, 1));
    for (uint64_t n = l->frontier; n < l->next; n++) {
        done[n & (ring - 1)] = l->done[n & (l->ring - 1)];
    }
    free(l->done);
    l->done = done;
    l->ring = ring;
}

struct ledger *ledger_new(void)
{
    struct ledger *l = memory_need(calloc(1, sizeof *l));
    l->ring = 1;
    l->shift = 1; /* token 0 is never given: a sink that forgot to set one completes nothing */
    grow_ring(l, 1024);
    return l;
}

static void free_list(struct batch *b)
{
    for (struct batch *next; b; b = next) {
        next = b->next;
        batch_free(b);
    }
}

void ledger_free(struct ledger *l)
{
    if (!l) {
        return;
    }
    free_list(l->head);
    free_list(l->dropped);
    free(l->done);
    free(l);
}

void ledger_admit(struct ledger *l, struct batch *take_batch)
{
    assert(take_batch->count > 0);
    take_batch->next = NULL;
    if (l->tail) {
        l->tail->next = take_batch;
    } else {
        l->head = take_batch;
        l->head_number = l->end;
    }
    l->tail = take_batch;
    if (!l->next_batch) {
        l->next_batch = take_batch;
        l->next_batch_number = l->end;
    }
    l->end += take_batch->count;
    l->bytes += take_batch->bytes;
}

bool ledger_next(const struct ledger *l, struct ledger_run *ret)
{
    if (!l->next_batch) {
        return false;
    }
    *ret = (struct ledger_run){.batch = l->next_batch,
                               .from = (size_t)(l->next - l->next_batch_number),
                               .to = l->next_batch->count,
                               .token = l->next + l->shift,
                               .ends_batch = true};
    return true;
}

void ledger_opened(struct ledger *l, size_t n)
{
    grow_ring(l, l->next + n - l->frontier);
    for (size_t i = 0; i < n; i++) {
        l->done[(l->next + i) & (l->ring - 1)] = 0;
    }
    l->next += n;
    while (l->next_batch && l->next >= l->next_batch_number + l->next_batch->count) {
        l->next_batch_number += l->next_batch->count;
        l->next_batch = l->next_batch->next;
    }
}

uint64_t ledger_lone_tokens(struct ledger *l, size_t n)
{
    assert(l->next == l->frontier);
    uint64_t first = l->next + l->shift;
    l->shift += n;
    return first;
}

static bool find_open(const struct ledger *l, uint64_t token, uint64_t *ret_number)
{
    if (token < l->frontier + l->shift || token >= l->next + l->shift) {
        return false;
    }
    *ret_number = token - l->shift;
    return !l->done[*ret_number & (l->ring - 1)];
}

bool ledger_complete(struct ledger *l, uint64_t token)
{
    uint64_t number;
    if (!find_open(l, token, &number)) {
        return false;
    }
    l->done[number & (l->ring - 1)] = 1;
    while (l->frontier < l->next && l->done[l->frontier & (l->ring - 1)]) {
        l->frontier++;
    }
    return true;
}

bool ledger_find(const struct ledger *l, uint64_t token, struct ledger_run *ret)
{
    uint64_t number, first = l->head_number;
    if (!find_open(l, token, &number)) {
        return false;
    }
    struct batch *b = l->head;
    for (; number >= first + b->count; b = b->next) {
        first += b->count;
    }
    size_t at = (size_t)(number - first);
    *ret = (struct ledger_run){
        .batch = b, .from = at, .to = at + 1, .token = token, .ends_batch = at + 1 == b->count};
    return true;
}

void ledger_rewind(struct ledger *l)
{
    l->shift += l->next - l->frontier;
    l->next = l->frontier;
    l->next_batch = l->head;
    l->next_batch_number = l->head_number;
    while (l->next_batch && l->next >= l->next_batch_number + l->next_batch->count) {
        l->next_batch_number += l->next_batch->count;
        l->next_batch = l->next_batch->next;
    }
}

void ledger_drop_waiting(struct ledger *l)
{
    uint64_t first = l->head_number;
    struct batch *last = NULL, *b = l->head;
    /* A batch with settled or open events stays; the waiting ones at its end are cut off. */
    while (b && first < l->next) {
        size_t keep = (size_t)(l->next - first);
        if (keep < b->count) {
            for (size_t i = keep; i < b->count; i++) {
                l->bytes -= b->events[i].bytes;
                b->bytes -= b->events[i].bytes;
            }
            b->count = keep;
        }
        first += b->count;
        last = b;
        b = b->next;
    }
    for (struct batch *next; b; b = next) {
        next = b->next;
        l->bytes -= b->bytes;
        b->next = l->dropped;
        l->dropped = b;
    }
    if (last) {
        last->next = NULL;
    } else {
        l->head = NULL;
    }
    l->tail = last;
    l->next_batch = NULL;
    l->end = l->next;
}

void ledger_free_dropped(struct ledger *l)
{
    free_list(l->dropped);
    l->dropped = NULL;
}

bool ledger_take_settled(struct ledger *l, struct ledger_run *ret)
{
    if (l->taken == l->frontier) {
        return false;
    }
    struct batch *b = l->head;
    size_t from = (size_t)(l->taken - l->head_number);
    uint64_t until = l->frontier - l->head_number;
    size_t to = until < b->count ? (size_t)until : b->count;
    *ret = (struct ledger_run){.batch = b, .from = from, .to = to, .ends_batch = to == b->count};
    for (size_t i = from; i < to; i++) {
        l->bytes -= b->events[i].bytes;
    }
    l->taken += to - from;
    if (ret->ends_batch) {
        l->head_number += b->count;
        l->head = b->next;
        if (!l->head) {
            l->tail = NULL;
        }
        b->next = NULL;
    }
    return true;
}

bool ledger_open_run(const struct ledger *l, uint64_t *iter, struct ledger_run *ret)
{
    uint64_t number = *iter > l->frontier ? *iter : l->frontier, first = l->head_number;
    for (struct batch *b = l->head; b && number < l->next; b = b->next) {
        if (number < first + b->count) {
            uint64_t to = l->next - first < b->count ? l->next - first : b->count;
            *ret = (struct ledger_run){.batch = b,
                                       .from = (size_t)(number - first),
                                       .to = (size_t)to,
                                       .token = number + l->shift,
                                       .ends_batch = to == b->count};
            *iter = first + to;
            return true;
        }
        first += b->count;
    }
    return false;
}

size_t ledger_open_count(const struct ledger *l)
{
    return (size_t)(l->next - l->frontier);
}

size_t ledger_waiting_count(const struct ledger *l)
{
    return (size_t)(l->end - l->next);
}

void ledger_end_transaction(struct ledger *l)
{
    if (l->next_batch) {
        l->tail->events[l->tail->count - 1].ends_transaction = true;
    }
}

size_t ledger_waiting_whole(const struct ledger *l)
{
    size_t whole = 0, before = 0;
    for (const struct batch *b = l->next_batch; b; b = b->next) {
        size_t from = b == l->next_batch ? (size_t)(l->next - l->next_batch_number) : 0;
        for (size_t i = b->count; i > from; i--) {
            if (b->events[i - 1].ends_transaction) {
                whole = before + i - from;
                break;
            }
        }
        before += b->count - from;
    }
    return whole;
}

size_t ledger_bytes(const struct ledger *l)
{
    return l->bytes;
}
