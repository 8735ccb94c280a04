/*
 * How a reader that is behind reads: it naps until the server has run ahead, then takes all there
 * is. The walsender makes one send() for each message. While its reader sleeps in poll for that
 * socket, each is a packet and a wake-up; while the reader naps, a packet; and once the nap has
 * filled the reader's window, they only append to the server's own queue and come in large packets
 * afterwards, which costs the server a third and the reader half. Without a backlog there is no
 * nap, so that an event is read when it comes. Pure: every function is told the time (monotonic).
 * Private to cdc/stream*.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STREAM_PACE_READ = 16384 }; /* bytes that are worth a read; what libpq takes at least */

struct stream_pace {
    int64_t nap_us;   /* how long the next nap is */
    int64_t until_us; /* napping until then; 0: awake */
    size_t gathered;  /* bytes taken since the last nap began */
    int64_t since_us; /* what was taken since then ... */
    size_t taken;     /* ... in bytes: the rate tells a backlog from a trickle */
    bool busy;        /* that rate is high */
    bool behind;
};

void stream_pace_init(struct stream_pace *p, int64_t now_us);

/* The socket is read now. */
void stream_pace_wake(struct stream_pace *p, int64_t now_us);

/* A message of so many bytes came out. (How many a read takes only libpq knows: more than
 * STREAM_PACE_READ once a large message has made its buffer grow, which is for good.) */
static inline void stream_pace_took(struct stream_pace *p, size_t bytes)
{
    p->taken += bytes;
    p->gathered += bytes;
}

/* All that was read is used up and so much waits in the socket: true when it is better to nap until
 * until_us first. `known_backlog`: there is more, whatever the rate says. */
bool stream_pace_nap(struct stream_pace *p, size_t waiting, bool known_backlog, int64_t now_us);

bool stream_pace_napping(const struct stream_pace *p, int64_t now_us);
