/*
 * How old the oldest unacknowledged message is, in constant memory: messages are counted in slots
 * of put time, so that the age is known to a 32nd of the limit. Plain values; the pipeline's
 * thread.
 */
#pragma once

#include "base/clock.h"
#include <stddef.h>
#include <stdint.h>

enum { KAFKA_WINDOW_SLOTS = 64 };

struct kafka_window {
    struct kafka_slot {
        uint64_t first, end;     /* tokens, half open; gaps are harmless */
        size_t open;             /* of them not acknowledged */
        int64_t since_us;        /* when the first was put, monotonic */
    } slots[KAFKA_WINDOW_SLOTS]; /* a ring, oldest first */
    size_t head, count;
    size_t open; /* in all slots */
    int64_t limit_us, grain_us;
};

void kafka_window_init(struct kafka_window *w, int64_t limit_us);

/* Tokens only ever rise. */
void kafka_window_add(struct kafka_window *w, uint64_t token, int64_t now_us);
void kafka_window_done(struct kafka_window *w, uint64_t token);

/* When the oldest open message will have waited too long (never early, at most a 32nd late);
 * DEADLINE_NEVER if none. */
int64_t kafka_window_deadline(const struct kafka_window *w);
