/*
 * Times and durations on the command line. A mistake is printed on stderr. Any thread.
 */
#pragma once

#include "cli/cli.h"

/* `text` of --option as a time on the wall clock: RFC 3339, or a duration ago ("2h"), which is not
 * negative. Returns 0, or 64 after the message. */
int cli_when(const struct cli_command *command, const char *option, const char *text,
             int64_t *ret_us);

/* The same for a duration ("100ms", "7d"). */
int cli_duration(const struct cli_command *command, const char *option, const char *text,
                 int64_t *ret_us);
