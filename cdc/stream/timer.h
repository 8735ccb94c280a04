/*
 * When to send a status update, when to ask the server for a sign of life, and when to give the
 * connection up. No I/O: each function is told the time, in microseconds (monotonic). One thread.
 * Private to cdc/stream/.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct stream_timer {
    int64_t interval_us;     /* between timed status updates */
    int64_t silence_us;      /* after so long without a byte from the server: ask for a reply */
    int64_t read_timeout_us; /* after so long without a reply: give the connection up */
    int64_t status_at_us;    /* when the next update is due */
    int64_t heard_us;        /* when the server was last heard */
    int64_t asked_us;        /* when a reply was asked for since then; 0: it was not */
};

/* What to do now: nothing, send a status update, send one that asks for a reply, or give up. */

enum stream_due { STREAM_DUE_NOTHING, STREAM_DUE_STATUS, STREAM_DUE_ASK, STREAM_DUE_DEAD };

/* wal_sender_timeout_us: the server's setting; 0: it waits for us for ever. */
void stream_timer_init(struct stream_timer *t, int64_t wal_sender_timeout_us,
                       int64_t read_timeout_us, int64_t now_us);

/* What happened: bytes came; the server asked for a status update; one was sent (`asked`: with a
 * request for a reply). */
void stream_timer_heard(struct stream_timer *t, int64_t now_us);
void stream_timer_reply_wanted(struct stream_timer *t, int64_t now_us);
void stream_timer_sent(struct stream_timer *t, bool asked, int64_t now_us);

enum stream_due stream_timer_due(const struct stream_timer *t, int64_t now_us);
int64_t stream_timer_deadline(const struct stream_timer *t); /* when something is due next */
