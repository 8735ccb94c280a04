/*
 * Where a `replay` sends: the pipeline's own sink or another one, and the pipeline's configuration
 * as the replay runs it. Main thread.
 */
#pragma once

#include "cli/replay_plan.h"
#include "config/config.h"

struct replay_sink {
    const struct conf_pipeline *p; /* as configured */
    struct config *config;         /* of --sink and --sink-config; NULL: the pipeline's own */
    struct conf_pipeline changed;
    struct conf_named *headers;
    char name[128], header[16], no_topic[1]; /* what `changed` points to */
};

/* Returns 0, or the exit code after the message. Released in every case; must not be moved until
 * then. */
int replay_sink_choose(struct replay_sink *s, const struct conf_pipeline *p,
                       const struct replay_words *w);
void replay_sink_release(struct replay_sink *s); /* for CLEANUP: start from {0} */

/* *p with this sink, a name of its own, and the header `replayed`. Borrows `id`; lives as long as
 * *s. Called once. */
struct conf_pipeline *replay_sink_pipeline(struct replay_sink *s, char *id);
