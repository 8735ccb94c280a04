/*
 * Declares cli_<name> for each command of commands.def, for example cli_run and cli_status. cli.c
 * makes its table of commands from the same list, and a command names itself in messages by it.
 */
#pragma once

#include "cli/cli.h"

#define COMMAND(id) extern const struct cli_command cli_##id;
#define LATER(name)
#include "cli/commands.def"
#undef COMMAND
#undef LATER
