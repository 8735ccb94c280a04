/* Batches: an array of events and the memory that they point to, emptied and filled again. */
#include "model/event.h"

#include "base/memory.h"
#include <stdlib.h>

void event_sending_id(const struct event *e, struct buf *out)
{
    buf_add_slice(out, e->id);
    if (!slice_is_null(e->again)) {
        buf_add_char(out, ':');
        buf_add_slice(out, e->again);
    }
}

struct batch *batch_new(void)
{
    struct batch *b = memory_need(calloc(1, sizeof *b));
    arena_init(&b->arena);
    return b;
}

void batch_reset(struct batch *b)
{
    if (b->release_resource) {
        b->release_resource(b->resource);
    }
    b->resource = NULL;
    b->release_resource = NULL;
    arena_reset(&b->arena);
    b->count = 0;
    b->bytes = 0;
    b->after_end = false;
    b->context = SLICE_NULL;
    b->next = NULL;
}

void batch_free(struct batch *b)
{
    if (!b) {
        return;
    }
    batch_reset(b);
    arena_release(&b->arena);
    free(b->events);
    free(b);
}

struct event *batch_add(struct batch *b)
{
    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 64;
        b->events = memory_need(reallocarray(b->events, b->cap, sizeof *b->events));
    }
    struct event *e = &b->events[b->count++];
    memset(e, 0, sizeof *e);
    e->created_at_us = TIME_NONE;
    e->timestamp_us = TIME_NONE;
    e->partition = -1;
    return e;
}

/* JSON's blanks may stand around the word null. */
struct slice event_headers(struct slice column)
{
    static const char blank[] = " \t\r\n";
    struct slice rest = column;
    while (rest.len > 0 && memchr(blank, rest.ptr[0], sizeof blank - 1)) {
        rest = (struct slice){rest.ptr + 1, rest.len - 1};
    }
    while (rest.len > 0 && memchr(blank, rest.ptr[rest.len - 1], sizeof blank - 1)) {
        rest.len--;
    }
    return slice_equal_str(rest, "null") ? SLICE_NULL : column;
}
