/*
 * Completion for shells, made from the command and option tables. Each function appends a script to
 * `out` that completes commands, the first words of commands that have some (`position show`),
 * options, and after an option what its value may be: a file, or one of the words that the table
 * names. Main thread (args_look).
 */
#pragma once

#include "cli/cli.h"

void completion_bash(struct buf *out, const struct cli_command *const *commands, size_t count);
void completion_zsh(struct buf *out, const struct cli_command *const *commands, size_t count);
void completion_fish(struct buf *out, const struct cli_command *const *commands, size_t count);
