/*
 * `prune --inbox`: removes old claims from a consumer's inbox. Main thread.
 */
#pragma once

#include "cli/cli.h"
#include <stdbool.h>
#include <stdint.h>

/* What the command line says; borrowed during the call. */
struct prune_inbox {
    const char *source;   /* --source; NULL: COMMITRELAY_SOURCE */
    const char *consumer; /* whose claims; NULL: everybody's */
    const char *older_than, *pause;
    int64_t older_than_us, pause_us;
    int64_t batch; /* rows a step looks at */
    bool dry_run;  /* only count */
};

/* Goes once through the table inbox (PostgreSQL: of the schema public) in small transactions.
 * Returns the command's exit code, after what was done or went wrong was printed. */
int prune_inbox(const struct cli_command *command, const struct prune_inbox *order) MUST_CHECK;
