/*
 * Notices a message that is never acknowledged, even while later messages are (unacked.h).
 */
#include "sink/kit/unacked.h"

#include <string.h>

void kafka_window_init(struct kafka_window *w, int64_t limit_us)
{
    memset(w, 0, sizeof *w);
    w->limit_us = limit_us;
    w->grain_us = limit_us / (KAFKA_WINDOW_SLOTS / 2);
}

static struct kafka_slot *slot_at(struct kafka_window *w, size_t i)
{
    return &w->slots[(w->head + i) % KAFKA_WINDOW_SLOTS];
}

void kafka_window_add(struct kafka_window *w, uint64_t token, int64_t now_us)
{
    struct kafka_slot *last = w->count > 0 ? slot_at(w, w->count - 1) : NULL;
    /* A full ring covers twice the limit, and then the oldest slot is overdue already: the last
     * slot just takes more. */
    if (!last || (now_us - last->since_us >= w->grain_us && w->count < KAFKA_WINDOW_SLOTS)) {
        last = slot_at(w, w->count++);
        *last = (struct kafka_slot){.first = token, .since_us = now_us};
    }
    last->end = token + 1;
    last->open++;
    w->open++;
}

void kafka_window_done(struct kafka_window *w, uint64_t token)
{
    /* Searches from the newest slot: under load most acknowledgements are for messages put a moment
     * ago. */
    for (size_t i = w->count; i-- > 0;) {
        struct kafka_slot *s = slot_at(w, i);
        if (token >= s->first && token < s->end && s->open > 0) {
            s->open--;
            w->open--;
            break;
        }
    }
    while (w->count > 0 && slot_at(w, 0)->open == 0) {
        w->head = (w->head + 1) % KAFKA_WINDOW_SLOTS;
        w->count--;
    }
}

int64_t kafka_window_deadline(const struct kafka_window *w)
{
    return w->count > 0 ? w->slots[w->head].since_us + w->limit_us + w->grain_us : DEADLINE_NEVER;
}
