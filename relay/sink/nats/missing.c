/*
 * A small table of subjects, by hash: since when each has no stream (missing.h). When it is full,
 * the entry that was seen longest ago makes room.
 */
#include "sink/nats/missing.h"

#include "base/fnv1a.h"
#include "base/slice.h"

/* A subject that was not asked for in so long begins anew: an outage long ago says nothing. */
#define FORGET_US (60 * US_PER_SECOND)

static uint64_t hash_of(const char *subject)
{
    return fnv1a_add(FNV1A_START, slice_from(subject));
}

static size_t find(const struct nats_missing *m, uint64_t subject)
{
    size_t i = 0;
    while (i < m->count && m->items[i].subject != subject) {
        i++;
    }
    return i;
}

static size_t place(struct nats_missing *m)
{
    size_t oldest = 0;
    if (m->count < NATS_MISSING_MAX) {
        return m->count++;
    }
    for (size_t i = 1; i < m->count; i++) {
        oldest = m->items[i].seen_us < m->items[oldest].seen_us ? i : oldest;
    }
    return oldest;
}

void nats_missing_seen(struct nats_missing *m, const char *subject, bool of_event,
                       int64_t patience_us, int64_t now_us, struct error *err)
{
    uint64_t hash = hash_of(subject);
    size_t i = find(m, hash);
    bool known = i < m->count && now_us - m->items[i].seen_us < patience_us + FORGET_US;
    i = i < m->count ? i : place(m);
    m->items[i].subject = hash;
    m->items[i].since_us = known ? m->items[i].since_us : now_us;
    m->items[i].seen_us = now_us;
    bool lasts = now_us - m->items[i].since_us >= patience_us;
    bool alone = of_event && m->stored_us > m->items[i].since_us;
    err->class = !lasts ? ERROR_RETRY : alone ? ERROR_POISON : ERROR_CONFIG;
    err->exit_code = err->class == ERROR_CONFIG ? EXIT_CODE_CONFIG : EXIT_CODE_GAVE_UP;
}

void nats_missing_stored(struct nats_missing *m, const char *subject, int64_t now_us)
{
    m->stored_us = now_us;
    size_t i = m->count > 0 ? find(m, hash_of(subject)) : 0;
    if (i < m->count) {
        m->items[i] = m->items[--m->count];
    }
}
