/* A hash table with open addressing. Entries are only added, and never move, so a reader may walk
 * through the table while an entry is added. */
#include "base/topic_counts.h"

#include "base/fnv1a.h"
#include "base/memory.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Places in the table: a power of two, and enough that a search ends soon. HASHED: topics mostly
 * differ in their last characters. LONGEST: more does not fit a label that people read. */
enum { PLACES = 256, HASHED = 16, LONGEST = 512 };

struct count {
    _Atomic int64_t events;
    size_t len;
    char topic[];
};

struct topic_counts {
    struct count *_Atomic places[PLACES];
    struct count *last; /* the one counted last */
    size_t used;
    _Atomic int64_t others;
};

struct topic_counts *topic_counts_new(void)
{
    return memory_need(calloc(1, sizeof(struct topic_counts)));
}

void topic_counts_free(struct topic_counts *t)
{
    for (size_t i = 0; t && i < PLACES; i++) {
        free(t->places[i]);
    }
    free(t);
}

static bool is(const struct count *c, struct slice topic)
{
    return c->len == topic.len && (c->len == 0 || memcmp(c->topic, topic.ptr, c->len) == 0);
}

/* The place of the topic, or the free one where it belongs. */
static struct count *_Atomic *place(struct topic_counts *t, struct slice topic)
{
    size_t passed = topic.len > HASHED ? topic.len - HASHED : 0;
    struct slice end = {passed ? topic.ptr + passed : topic.ptr, topic.len - passed};
    uint64_t hash = fnv1a_add(FNV1A_START + topic.len, end);
    size_t at = (hash ^ hash >> 32) % PLACES;
    while (t->places[at] && !is(t->places[at], topic)) {
        at = (at + 1) % PLACES;
    }
    return &t->places[at];
}

static struct count *find_or_add(struct topic_counts *t, struct slice topic)
{
    struct count *_Atomic *at = place(t, topic);
    struct count *c = *at;
    if (!c && t->used < TOPIC_COUNTS_MAX && topic.len <= LONGEST) {
        c = memory_need(calloc(1, sizeof *c + topic.len));
        c->len = topic.len;
        if (topic.len > 0) {
            memcpy(c->topic, topic.ptr, topic.len);
        }
        t->used++;
        *at = c; /* from now on a reader sees it */
    }
    return c;
}

void topic_counts_add(struct topic_counts *t, struct slice topic)
{
    struct count *c = t->last && is(t->last, topic) ? t->last : find_or_add(t, topic);
    if (c) {
        t->last = c;
    }
    atomic_fetch_add_explicit(c ? &c->events : &t->others, 1, memory_order_relaxed);
}

/* A label's value: backslash, quote and line end are escaped. */
static void add_label(struct buf *out, const struct count *c)
{
    for (size_t i = 0; i < c->len; i++) {
        char ch = c->topic[i];
        if (ch == '\n') {
            buf_add_str(out, "\\n");
            continue;
        }
        if (ch == '"' || ch == '\\') {
            buf_add_char(out, '\\');
        }
        buf_add_char(out, ch);
    }
}

static void add_sample(struct buf *out, const char *metric, const char *labels,
                       const struct count *c, int64_t events)
{
    buf_printf(out, "%s{%s,topic=\"", metric, labels);
    if (c) {
        add_label(out, c);
    }
    buf_printf(out, "\"} %lld\n", (long long)events);
}

void topic_counts_write(struct topic_counts *t, const char *metric, const char *labels,
                        struct buf *out)
{
    for (size_t i = 0; t && i < PLACES; i++) {
        struct count *c = t->places[i];
        if (c) {
            add_sample(out, metric, labels, c, c->events);
        }
    }
    int64_t others = t ? t->others : 0;
    if (others > 0) {
        add_sample(out, metric, labels, NULL, others);
    }
}
