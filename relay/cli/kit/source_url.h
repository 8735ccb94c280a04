/*
 * Takes `--source URL` of a command line, or COMMITRELAY_SOURCE in its place: sqlite:PATH,
 * postgresql://... or a libpq conninfo string. A password may come from the environment. On the
 * command line it is refused, because every user of the machine can read it there. No I/O; main
 * thread.
 */
#pragma once

#include "cli/kit/args.h"

enum source_kind { SOURCE_KIND_POSTGRES, SOURCE_KIND_SQLITE };

struct source_url {
    enum source_kind kind;
    const char *url;  /* all of it; borrowed */
    const char *text; /* sqlite: the path behind the prefix; else the URL or conninfo; borrowed */
    bool from_environment; /* url is COMMITRELAY_SOURCE */
};

/* Is there one, in the option or in the environment? */
bool source_url_given(const char *option);

/* `option` is the value of --source, NULL if it was not given. *ret borrows from it or from the
 * environment. Returns 0, or 64 after the message, and then *ret is untouched. */
int source_url_take(const struct cli_command *command, const char *option,
                    struct source_url *ret) MUST_CHECK;
