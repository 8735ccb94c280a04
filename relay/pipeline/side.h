/*
 * A pipeline has two sides that can be up or down: upstream is its source together with its store,
 * downstream is its sink. Here is when each may be tried again, and since when it fails.
 *
 * Private to relay/pipeline, used by the pipeline's thread only. Nothing here fails. All times are
 * monotonic unless it says otherwise.
 */
#pragma once

#include "base/backoff.h"
#include <stdbool.h>
#include <stdint.h>

struct pipeline;

/* One side of the pipeline that can be up or down. */
struct side {
    bool ready;                 /* it is started */
    struct backoff backoff;     /* how long to wait before the next try */
    int64_t retry_at_us;        /* not to be tried before */
    unsigned failures;          /* since it last worked (side_up) */
    unsigned read_failures;     /* how many of them happened while events were read */
    unsigned repeated;          /* how often the failure with the text that was logged last came */
    int64_t repeated_since_us;  /* wall clock: when it came first */
    int64_t told_at_us;         /* when it was logged last */
    int64_t failed_at_us;       /* when the side last went down */
    int64_t first_failed_at_us; /* the first of `failures` */
    bool was_up; /* it has been started once: from then on a CONFIG error makes the pipeline wait
                    for the operator instead of ending it */
};

bool side_may_try(const struct side *side); /* retry_at_us has come */

/* It was started. Its failures go on counting until it has shown that it works (side_up): else one
 * that starts well and fails at once would be tried again without ever waiting longer. */
void side_connected(struct side *side);

/* It has shown that it works: its failures are forgotten, and the next one waits shortly again. */
void side_up(struct pipeline *p, struct side *side);

bool pipeline_may_work(const struct pipeline *p); /* both sides are up and it has not ended */

/* For half a minute nothing has succeeded, counted from since_us or from the last success,
 * whichever is later. */
bool nothing_for_long(const struct pipeline *p, int64_t since_us);
/* The same with --until-idle; without it always false. */
bool out_of_patience(const struct pipeline *p, int64_t since_us);
