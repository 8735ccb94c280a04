/*
 * What a pipeline's one poll(2) waits for: descriptors and the nearest deadline. Every part adds
 * its own.
 */
#pragma once

#include "base/clock.h"
#include <poll.h>
#include <stddef.h>

enum { POLL_SET_MAX = 16 };

struct poll_set {
    struct pollfd fds[POLL_SET_MAX];
    size_t count;
    int64_t deadline_us; /* monotonic; DEADLINE_NEVER without one */
};

void poll_set_clear(struct poll_set *set);
void poll_set_add(struct poll_set *set, int fd, short events); /* fd -1 is ignored */
void poll_set_deadline(struct poll_set *set, int64_t mono_us); /* keeps the nearest */

/* Waits. Returns poll's answer; an interrupted wait counts as 0. */
int poll_set_wait(struct poll_set *set);
