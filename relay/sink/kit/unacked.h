/*
 * Tells how old the oldest unacknowledged message is, in constant memory. The sink kafka uses it.
 * Messages are counted in slots by the time at which they were put, so the age is known to a 32nd
 * of the limit. Plain values, times in monotonic microseconds; nothing here fails. The pipeline's
 * thread only.
 */
#pragma once

#include "base/clock.h"
#include <stddef.h>
#include <stdint.h>

enum { KAFKA_WINDOW_SLOTS = 64 };

/* A ring of slots, the oldest first. */
struct kafka_window {
    struct kafka_slot {
        uint64_t first, end;     /* tokens first to end - 1; gaps are harmless */
        size_t open;             /* how many of them are not acknowledged */
        int64_t since_us;        /* when the first was put */
    } slots[KAFKA_WINDOW_SLOTS]; /* a ring, oldest first */
    size_t head, count;
    size_t open; /* in all slots */
    int64_t limit_us, grain_us;
};

/* Empties the window. limit_us: how long a message may wait for its acknowledgement. */
void kafka_window_init(struct kafka_window *w, int64_t limit_us);

/* A message was put; tokens only rise. Or it was acknowledged; an unknown token is ignored. */
void kafka_window_add(struct kafka_window *w, uint64_t token, int64_t now_us);
void kafka_window_done(struct kafka_window *w, uint64_t token);

/* The time at which the oldest open message has waited for limit_us: never early, at most a 32nd of
 * the limit late. DEADLINE_NEVER if there is none. */
int64_t kafka_window_deadline(const struct kafka_window *w);
