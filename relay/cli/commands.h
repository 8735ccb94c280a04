/*
 * The commands' own descriptors, made from commands.def.
 */
#pragma once

#include "cli/cli.h"

#define COMMAND(id) extern const struct cli_command cli_##id;
#define LATER(name)
#include "cli/commands.def"
#undef COMMAND
#undef LATER
