/* A sorted array: it is asked for every row. */
#include "cli/verify_topics.h"

#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

void verify_topics_release(struct verify_topics *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->names[i]);
    }
    free(t->names);
    *t = (struct verify_topics){0};
}

static int order(struct slice a, const char *b)
{
    int n = strncmp(a.ptr, b, a.len);
    return n ? n : b[a.len] ? -1 : 0;
}

/* The place of the name, or where it belongs. */
static size_t place_of(const struct verify_topics *t, struct slice name)
{
    size_t from = 0, to = t->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (order(name, t->names[middle]) > 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static bool is_at(const struct verify_topics *t, size_t at, struct slice name)
{
    return at < t->count && order(name, t->names[at]) == 0;
}

void verify_topics_add(struct verify_topics *t, struct slice name)
{
    size_t at = place_of(t, name);
    if (is_at(t, at, name)) {
        return;
    }
    if (t->count == t->room) {
        t->room = t->room ? t->room * 2 : 64;
        t->names = memory_need(reallocarray(t->names, t->room, sizeof *t->names));
    }
    memmove(t->names + at + 1, t->names + at, (t->count - at) * sizeof *t->names);
    t->names[at] = memory_need(strndup(name.ptr, name.len));
    t->count++;
}

bool verify_topics_have(const struct verify_topics *t, struct slice name)
{
    return is_at(t, place_of(t, name), name);
}
