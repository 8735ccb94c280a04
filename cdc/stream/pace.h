/*
 * Pacing: a reader that is far behind sleeps for a moment before it reads the socket again.
 *
 * The walsender calls send() once for each message. If the reader waits in poll, each small message
 * becomes a packet and wakes the reader. If the reader sleeps instead, the receive window fills up,
 * and further messages only queue at the server, which then sends them in large packets. That costs
 * the server a third and the reader half as much. Without a backlog the reader never sleeps, so an
 * event is read as soon as it comes.
 *
 * No I/O: each function is told the time, in microseconds (monotonic). One thread. Private to
 * cdc/stream/.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With so many bytes in the socket a read is worth it at once; libpq reads at least so many. */
enum { STREAM_PACE_READ = 16384 };

struct stream_pace {
    int64_t nap_us;   /* length of the next nap */
    int64_t until_us; /* end of the nap; 0: awake */
    size_t gathered;  /* bytes taken since the last nap began */
    int64_t since_us; /* begin of the current measurement of the rate */
    size_t taken;     /* bytes taken since then */
    bool busy;        /* the last measurement was high: this is a backlog, not a trickle */
    bool behind;      /* pacing is on */
};

void stream_pace_init(struct stream_pace *p, int64_t now_us);

/* To be called just before the socket is read: ends the nap, and measures the rate. */
void stream_pace_wake(struct stream_pace *p, int64_t now_us);

/* To be called for each message, with its size. (How much a read takes is not known here: libpq's
 * buffer grows with the largest message and stays so.) */
static inline void stream_pace_took(struct stream_pace *p, size_t bytes)
{
    p->taken += bytes;
    p->gathered += bytes;
}

/* Everything read is used up, and `waiting` bytes lie in the socket. True: a nap begins now; read
 * after until_us. `known_backlog`: more is certainly on its way, whatever the rate is. */
bool stream_pace_nap(struct stream_pace *p, size_t waiting, bool known_backlog, int64_t now_us);

/* Whether the reader is behind. `behind` is computed only when messages come, so it may stay true
 * after the last one; it counts only together with a sign that more is on its way: a nap, in which
 * something gathers, or `more`. */
bool stream_pace_behind(const struct stream_pace *p, bool more);

bool stream_pace_napping(const struct stream_pace *p, int64_t now_us);
