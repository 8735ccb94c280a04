/*
 * A pipeline has two sides that can be up or down: upstream is its source together with its store,
 * downstream is its sink. When each may be tried again, and since when it fails. Private to
 * relay/pipeline, used by the pipeline's thread only.
 */
#pragma once

#include "base/backoff.h"
#include <stdbool.h>
#include <stdint.h>

struct pipeline;

/* One side of the pipeline that can be up or down. */
struct side {
    bool ready;
    struct backoff backoff;
    int64_t retry_at_us;        /* monotonic; not before */
    unsigned failures;          /* in a row */
    unsigned read_failures;     /* of them while it was being read */
    unsigned repeated;          /* failures with the text that was logged last */
    int64_t repeated_since_us;  /* wall clock: when that text came first */
    int64_t told_at_us;         /* monotonic: when it was logged last */
    int64_t failed_at_us;       /* monotonic; when it went down last */
    int64_t first_failed_at_us; /* the first of these failures */
    bool was_up; /* has been up once: from then on an error for the operator waits instead of ending
                  */
};

bool side_may_try(const struct side *side); /* its time has come, retry_at_us */

/* It could be started. That does not end its row of failures: a first answer does (side_up). */
void side_connected(struct side *side);

/* It has shown that it works: the failures are over, and waiting starts small again. */
void side_up(struct pipeline *p, struct side *side);

bool pipeline_may_work(const struct pipeline *p); /* both sides are up and it has not ended */

/* With --until-idle: nothing has succeeded for too long, counted from since_us (monotonic) at the
 * earliest. Always false without it. */
bool out_of_patience(const struct pipeline *p, int64_t since_us);
