/*
 * The man pages, made from the tables that the program works with: commitrelay(1) from the command
 * and option tables, commitrelay.yaml(5) from the key tables. They append roff to `out`. Main
 * thread (args_look).
 */
#pragma once

#include "cli/cli.h"

void man_page_commands(struct buf *out, const struct cli_command *const *commands, size_t count);
void man_page_config(struct buf *out);
