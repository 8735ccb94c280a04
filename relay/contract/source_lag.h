/*
 * How far behind a source is, for status and metrics: what source_ops.lag fills in.
 */
#pragma once

#include "base/clock.h"
#include <stdbool.h>
#include <stdint.h>

struct source_lag {
    /* Events that `read` has not given yet: exact up to 10,000, an estimate above; -1: unknown. */
    int64_t pending_events;
    /* Wall clock time of the oldest event not delivered; TIME_NONE: caught up, or unknown. */
    int64_t oldest_us;
    /* What the source waits for ("waits for a lock held by pid 123 since 12 s"); "": nothing. */
    char held_up[256];
    /* Long work under way ("snapshot: orders, 12 %, 40 s left"); "": none. */
    char progress[256];
    /* What does not hold it up yet, and will want an operator; "": nothing. */
    char warning[256];

    /* --- CDC only; -1 or false elsewhere --- */

    int64_t lag_bytes;           /* WAL not delivered yet; -1: unknown */
    int64_t slot_retained_bytes; /* WAL that the server keeps for the slot; -1: unknown */
    int64_t slot_limit_bytes; /* the slot is lost when slot_retained_bytes reaches this; -1: never,
                                 or unknown */
    bool slot_lost;           /* the slot is gone, and with it changes that were not delivered */
};

#define SOURCE_LAG_UNKNOWN                          \
    ((struct source_lag){.pending_events = -1,      \
                         .oldest_us = TIME_NONE,    \
                         .lag_bytes = -1,           \
                         .slot_retained_bytes = -1, \
                         .slot_limit_bytes = -1})
