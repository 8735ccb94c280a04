/*
 * How the thread of a target sleeps, and how it is woken and told to end. `wake` and `stop` may be
 * called by any thread, all else by the thread that sleeps, and init and release by the owner.
 */
#pragma once

#include "base/error.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct upload_wait {
    int fd; /* eventfd: readable once something happened */
    _Atomic bool stop;
};

/* ERROR as error_errno gives it: no descriptor is left. */
int upload_wait_init(struct upload_wait *w, struct error *err) MUST_CHECK;
void upload_wait_release(struct upload_wait *w);

void upload_wait_wake(struct upload_wait *w);
void upload_wait_stop(struct upload_wait *w); /* it wakes, too; for good */
bool upload_wait_stopped(struct upload_wait *w);

/* Sleeps until it is woken, `fd` is readable (-1: there is none) or `us` microseconds have passed
 * (0 or less: it only looks; DEADLINE_NEVER: however long). True: it was woken. */
bool upload_wait_for(struct upload_wait *w, int fd, int64_t us);
