/* Which interrupted replay `--resume` goes on with. Main thread. */
#pragma once

#include "cli/cli.h"
#include "cli/replay_plan.h"

/* Looks among the replays of the store's pipeline for the one of this range (none given: any) and
 * of this id (NULL: any), begun with the sink of *plan, and puts it into *plan. Returns 0; or 64
 * after the message, if it is none or several. */
int replay_resume_find(struct cli_store *store, const struct replay_words *w, const char *id,
                       struct replay_plan *plan);
