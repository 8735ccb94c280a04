/* Keeps the records of each stream in a list, and takes off its head those that have ended. */
#include "consume/streams.h"

#include "base/memory.h"
#include <stdlib.h>

struct stream *streams_find(const struct streams *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++) {
        if (!s->items[i]->lost && strcmp(s->items[i]->name, name) == 0) {
            return s->items[i];
        }
    }
    return NULL;
}

struct stream *streams_of(struct streams *s, const char *name)
{
    struct stream *found = streams_find(s, name);
    if (found) {
        return found;
    }
    found = memory_need(calloc(1, sizeof *found));
    found->name = memory_need(strdup(name));
    s->items = memory_need(realloc(s->items, (s->count + 1) * sizeof(struct stream *)));
    s->items[s->count++] = found;
    return found;
}

void streams_add(struct streams *s, struct stream *to, struct record *r)
{
    r->stream = to;
    r->origin = to->name;
    r->next_of_stream = NULL;
    if (to->last) {
        to->last->next_of_stream = r;
    } else {
        to->first = r;
    }
    to->last = r;
    to->count++;
    s->records++;
    s->bytes += r->bytes;
}

static void drop_first(struct streams *s, struct stream *of)
{
    struct record *r = of->first;
    of->first = r->next_of_stream;
    of->last = of->first ? of->last : NULL;
    of->count--;
    s->records--;
    s->bytes -= r->bytes;
    record_free(r);
}

bool streams_done(struct streams *s, struct record *r)
{
    struct stream *of = r->stream;
    bool moved = false;
    r->done = true;
    while (of->first && of->first->done) {
        of->settled = of->first->number;
        moved = true;
        drop_first(s, of);
    }
    return moved;
}

static void stream_free(struct streams *s, struct stream *of)
{
    while (of->first) {
        drop_first(s, of);
    }
    free(of->name);
    free(of);
}

void streams_tidy(struct streams *s)
{
    for (size_t i = s->count; i-- > 0;) {
        if (s->items[i]->lost && !s->items[i]->first) {
            stream_free(s, s->items[i]);
            s->items[i] = s->items[--s->count];
        }
    }
}

void streams_release(struct streams *s)
{
    for (size_t i = 0; i < s->count; i++) {
        stream_free(s, s->items[i]);
    }
    free(s->items);
    *s = (struct streams){0};
}
