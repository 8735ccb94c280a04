/*
 * The source by which a pipeline's events are read a second time (`replay`, `tail -n`): its own, or
 * where that is a stream, which cannot be read twice, the same outbox table by polling. No I/O.
 * Main thread.
 */
#pragma once

#include "cli/cli.h"

struct source_again {
    struct config *polled;      /* the source by polling; NULL: the pipeline's own */
    struct conf_pipeline reads; /* the pipeline with the source that reads */
};

/* `command` is the one that reads, for the error. CONFIG: the source by polling is not in this
 * program. `ret` is released in both cases, and outlives a source opened with it. */
int source_again(struct source_again *ret, const struct conf_pipeline *p, const char *command,
                 struct error *err) MUST_CHECK;
void source_again_release(struct source_again *a); /* for CLEANUP: start from {0} */
