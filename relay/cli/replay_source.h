/*
 * The table that a `replay` reads: the pipeline's own source, or where that is a stream the same
 * table by polling. And which of its events are delivered. Main thread.
 */
#pragma once

#include "cli/kit/source_again.h"
#include "cli/kit/source_open.h"
#include "contract/source.h"

struct replay_source {
    const struct conf_pipeline *p; /* as configured */
    struct source_again again;
    struct cli_source source; /* of again.reads */
};

/* Opens without I/O. Released in every case; must not be moved until then. */
int replay_source_open(struct replay_source *ret, const struct conf_pipeline *p, int stop_fd,
                       struct error *err) MUST_CHECK;
void replay_source_release(struct replay_source *s); /* for CLEANUP: start from {0} */

/* Asks `source` again and again for its frontier, which it appends, until the pipeline has
 * delivered what that needs. *ret_nothing: nothing is stored of the pipeline. Waits, at most two
 * minutes; `command` stands before what it says meanwhile. */
int replay_source_wait(const struct cli_source *source, struct cli_store *store,
                       const char *command, int stop_fd, struct buf *out, bool *ret_nothing,
                       struct error *err) MUST_CHECK;

/* Appends source_range.frontier. Waits, for a stream until it has delivered what is committed now.
 * *ret_nothing: nothing is stored of the pipeline. CONFIG: nothing can be read again. */
int replay_source_frontier(struct replay_source *s, struct cli_store *store, int stop_fd,
                           struct buf *out, bool *ret_nothing, struct error *err) MUST_CHECK;
