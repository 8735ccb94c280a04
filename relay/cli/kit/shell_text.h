/*
 * Writes the commands that are printed to be pasted into a shell. Example: the key o'neil & sons
 * becomes --key 'o'"'"'neil & sons'. A text with characters that a terminal would obey is written
 * with their numbers: $'a\012b', which bash, zsh and ksh read.
 * `out` belongs to the caller and is appended to; texts are borrowed for the call. Nothing fails;
 * any thread.
 */
#pragma once

#include "base/buf.h"

/* Appends `text` as one word of a shell, as it stands where no quotes are needed. */
void shell_add_word(struct buf *out, const char *text);

/* Appends " --NAME WORD"; nothing if `value` is NULL. */
void shell_add_option(struct buf *out, const char *name, const char *value);

/* Appends "commitrelay WORDS -c FILE" and, unless `pipeline` is NULL, " --pipeline NAME". `words`
 * are the command's name and what follows it, as they are typed. */
void shell_add_command(struct buf *out, const char *words, const char *file, const char *pipeline);
