/* A ring of samples per pipeline. Rates are differences of the counters, which belong to the name
 * and go on when a pipeline is restarted. */
#include "daemon/console/history.h"

#include "base/memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum value { LAG_SECONDS, PENDING_EVENTS, LAG_BYTES, READ_RATE, DELIVERED_RATE, VALUES };

static const char *const names[VALUES] = {[LAG_SECONDS] = "lag_seconds",
                                          [PENDING_EVENTS] = "pending_events",
                                          [LAG_BYTES] = "lag_bytes",
                                          [READ_RATE] = "read_per_second",
                                          [DELIVERED_RATE] = "delivered_per_second"};

/* -1: not known. A float is enough for a graph. */
struct sample {
    float value[VALUES];
};

struct track {
    struct track *next;
    char *name;
    bool seen; /* in the report that is being taken */
    uint64_t count;
    int64_t read, delivered, at_us; /* the counters of the last sample */
    struct sample samples[HISTORY_SAMPLES];
};

struct history {
    struct track *first;
    int64_t due_us;
};

struct history *history_new(void)
{
    return memory_need(calloc(1, sizeof(struct history)));
}

static void track_free(struct track *t)
{
    free(t->name);
    free(t);
}

void history_free(struct history *h)
{
    while (h && h->first) {
        struct track *t = h->first;
        h->first = t->next;
        track_free(t);
    }
    free(h);
}

static struct track *find(const struct history *h, const char *name)
{
    struct track *t = h->first;
    while (t && strcmp(t->name, name) != 0) {
        t = t->next;
    }
    return t;
}

static struct track *find_or_make(struct history *h, const char *name)
{
    struct track *t = find(h, name);
    if (!t) {
        t = memory_need(calloc(1, sizeof *t));
        t->name = memory_need(strdup(name));
        t->next = h->first;
        h->first = t;
    }
    return t;
}

static float rate(int64_t before, int64_t now, int64_t us)
{
    return us > 0 && now >= before ? (float)((double)(now - before) * 1e6 / (double)us) : -1;
}

static float known(int64_t n)
{
    return n < 0 ? -1 : (float)n;
}

static void add(struct track *t, const struct report_row *row, int64_t now_us)
{
    int64_t read = metrics_get(&row->metrics->events_read);
    int64_t delivered = metrics_get(&row->metrics->events_delivered);
    int64_t took_us = t->count > 0 ? now_us - t->at_us : 0;
    struct sample *s = &t->samples[t->count++ % HISTORY_SAMPLES];
    s->value[LAG_SECONDS] = (float)((double)metrics_get(&row->metrics->lag_us) / 1e6);
    s->value[PENDING_EVENTS] = known(row->status.lag.pending_events);
    s->value[LAG_BYTES] = known(row->status.lag.lag_bytes);
    s->value[READ_RATE] = rate(t->read, read, took_us);
    s->value[DELIVERED_RATE] = rate(t->delivered, delivered, took_us);
    t->read = read;
    t->delivered = delivered;
    t->at_us = now_us;
    t->seen = true;
}

static void forget_unseen(struct history *h)
{
    for (struct track **at = &h->first; *at;) {
        struct track *t = *at;
        if (t->seen) {
            t->seen = false;
            at = &t->next;
        } else {
            *at = t->next;
            track_free(t);
        }
    }
}

bool history_take(struct history *h, const struct report *r)
{
    if (r->now_us < h->due_us) {
        return false;
    }
    CLEANUP(buf_release) struct buf name = {0};
    for (size_t i = 0; i < r->count; i++) {
        buf_clear(&name);
        report_row_name(&name, &r->rows[i]);
        add(find_or_make(h, buf_str(&name)), &r->rows[i], r->now_us);
    }
    forget_unseen(h);
    h->due_us = r->now_us + HISTORY_EVERY_US;
    return true;
}

int64_t history_due_us(const struct history *h)
{
    return h->due_us;
}

void history_rates(const struct history *h, const char *pipeline, double *ret_read,
                   double *ret_delivered)
{
    const struct track *t = find(h, pipeline);
    const struct sample *s =
        t && t->count > 0 ? &t->samples[(t->count - 1) % HISTORY_SAMPLES] : NULL;
    *ret_read = s ? (double)s->value[READ_RATE] : -1;
    *ret_delivered = s ? (double)s->value[DELIVERED_RATE] : -1;
}

static json_t *list_of(const struct track *t, enum value which)
{
    json_t *list = json_array();
    uint64_t from = t && t->count > HISTORY_SAMPLES ? t->count - HISTORY_SAMPLES : 0;
    for (uint64_t i = from; t && i < t->count; i++) {
        double v = (double)t->samples[i % HISTORY_SAMPLES].value[which];
        json_array_append_new(list, v < 0 ? json_null() : json_real(v));
    }
    return list;
}

json_t *history_json(const struct history *h, const char *pipeline)
{
    const struct track *t = find(h, pipeline);
    json_t *j = json_object();
    json_object_set_new(j, "every_seconds", json_integer(HISTORY_EVERY_US / US_PER_SECOND));
    for (enum value v = 0; v < VALUES; v++) {
        json_object_set_new(j, names[v], list_of(t, v));
    }
    return j;
}
