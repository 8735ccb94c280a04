/*
 * What one poll(2) waits for: descriptors and the nearest deadline. A pipeline has one such wait
 * for everything: source, sink and store each add their descriptors and deadlines, then it sleeps.
 *
 * A plain struct that the caller owns; nothing is allocated and descriptors stay their owners'. One
 * thread at a time.
 */
#pragma once

#include "base/clock.h"
#include <poll.h>
#include <stddef.h>

enum { POLL_SET_MAX = 48 };

struct poll_set {
    struct pollfd fds[POLL_SET_MAX];
    size_t count;
    int64_t deadline_us; /* monotonic; DEADLINE_NEVER without one */
};

/* No descriptors and no deadline. Needed before the first use, too. */
void poll_set_clear(struct poll_set *set);

/* Adds a descriptor with poll(2)'s events, such as POLLIN. -1 is ignored. More than POLL_SET_MAX
 * are a bug: the process is aborted. */
void poll_set_add(struct poll_set *set, int fd, short events);

/* Wakes up at this monotonic time at the latest; of several deadlines the nearest one counts. */
void poll_set_deadline(struct poll_set *set, int64_t mono_us);

/* Waits for a descriptor or the deadline; a deadline that has passed only looks. Returns how many
 * descriptors are ready (fds[i].revents). 0: the deadline came, or a signal or any other failure of
 * poll ended the wait. */
int poll_set_wait(struct poll_set *set);
