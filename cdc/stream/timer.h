/*
 * When to tell the server where we are, when to ask it for a sign of life, and when to give it up.
 * Pure: every function is told the time (monotonic). Private to cdc/stream*.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct stream_timer {
    int64_t interval_us;     /* between timed status updates */
    int64_t silence_us;      /* nothing heard for so long: ask */
    int64_t read_timeout_us; /* asked, and nothing heard for so long: dead */
    int64_t status_at_us;    /* when the next update is due */
    int64_t heard_us;        /* the last sign of life */
    int64_t asked_us;        /* when a reply was asked for since then; 0: it was not */
};

enum stream_due { STREAM_DUE_NOTHING, STREAM_DUE_STATUS, STREAM_DUE_ASK, STREAM_DUE_DEAD };

/* wal_sender_timeout_us: the server's; 0 = it never gives us up. */
void stream_timer_init(struct stream_timer *t, int64_t wal_sender_timeout_us,
                       int64_t read_timeout_us, int64_t now_us);

void stream_timer_heard(struct stream_timer *t, int64_t now_us);
void stream_timer_reply_wanted(struct stream_timer *t, int64_t now_us);
void stream_timer_sent(struct stream_timer *t, bool asked, int64_t now_us);

enum stream_due stream_timer_due(const struct stream_timer *t, int64_t now_us);
int64_t stream_timer_deadline(const struct stream_timer *t); /* when something is due next */
