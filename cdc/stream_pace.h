/*
 * How a reader that is behind reads: it lets the socket fill for a moment. The walsender makes one
 * send() for each message; while its reader sleeps in poll for that socket, each of them is a
 * packet and a wake-up, while the reader naps they only append to the kernel's queue, which costs
 * the server less than half. Without a backlog there is no nap, so that an event is read when it
 * comes. Pure: every function is told the time (monotonic). Private to cdc/stream*.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream_pace {
    int64_t nap_us;   /* how long the next nap is */
    int64_t until_us; /* napping until then; 0: awake */
    int64_t since_us; /* what was read since then ... */
    size_t read;      /* ... in bytes: the rate tells a backlog from a trickle */
    bool busy;        /* that rate is high */
    bool napped;      /* the next read tells whether the last nap was well chosen */
    bool behind;
};

void stream_pace_init(struct stream_pace *p, int64_t now_us);

/* The socket is read now and holds so many bytes. */
void stream_pace_read(struct stream_pace *p, size_t waiting, int64_t now_us);

/* All that was read is used up and so much waits in the socket: true when it is better to nap until
 * until_us first. `known_backlog`: there is more, whatever the rate says. */
bool stream_pace_nap(struct stream_pace *p, size_t waiting, bool known_backlog, int64_t now_us);

bool stream_pace_napping(const struct stream_pace *p, int64_t now_us);
