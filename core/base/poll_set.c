/* Collects descriptors and a deadline, and waits for the first of them. */
#include "base/poll_set.h"

#include <stdlib.h>
#include <time.h>

void poll_set_clear(struct poll_set *set)
{
    set->count = 0;
    set->deadline_us = DEADLINE_NEVER;
}

void poll_set_add(struct poll_set *set, int fd, short events)
{
    if (fd < 0) {
        return;
    }
    if (set->count == POLL_SET_MAX) { /* a mistake of ours; a release build must not write on */
        abort();
    }
    set->fds[set->count++] = (struct pollfd){.fd = fd, .events = events};
}

void poll_set_deadline(struct poll_set *set, int64_t mono_us)
{
    if (mono_us < set->deadline_us) {
        set->deadline_us = mono_us;
    }
}

int poll_set_wait(struct poll_set *set)
{
    struct timespec wait, *timeout = NULL;
    if (set->deadline_us != DEADLINE_NEVER) {
        int64_t left = set->deadline_us - clock_mono_us();
        left = left < 0 ? 0 : left;
        wait = (struct timespec){left / US_PER_SECOND, left % US_PER_SECOND * 1000};
        timeout = &wait;
    }
    /* ppoll takes nanoseconds, poll only milliseconds. With an interval of 5 ms between two reads,
     * rounding to milliseconds would add up to a fifth to the latency. */
    int n = ppoll(set->fds, set->count, timeout, NULL);
    return n < 0 ? 0 : n;
}
