/*
 * What a `verify` compares with: the sink of the pipeline, a folder of batch files, or a consumer's
 * inbox. Main thread.
 */
#pragma once

#include "cli/cli.h"
#include "cli/verify_rows.h"

struct verify_target {
    const struct cli_command *command;      /* which complains */
    const char *against, *inbox, *consumer; /* of the command line; NULL: not given */

    const struct conf_pipeline *p;
    struct config *other;        /* of a folder, where the pipeline's own sink writes none */
    const char *folder;          /* NULL: the sink's own place, or an inbox */
    struct buf inbox_url, shown; /* shown: "in ...", for people */
    struct sink_env env;
    struct verify_sink sink; /* its ops are NULL with an inbox */
};

bool verify_target_is_inbox(const struct verify_target *t);

/* Reads the options; no I/O but a look for the folder. Returns 0, or the exit code after the
 * message. */
int verify_target_choose(struct verify_target *t, const struct conf_pipeline *p);

/* Opens the sink; it connects to nobody yet. The same answer. `route` outlives it. */
int verify_target_open(struct verify_target *t, const struct route *route, int stop_fd);

void verify_target_release(struct verify_target *t); /* must not have been moved */
