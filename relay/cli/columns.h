/*
 * Lays out text for a terminal: prose is broken at blanks so that a line has at most 100 columns,
 * and commands get lines of their own, so that they can be pasted. Pure; any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

enum { COLUMNS_MAX = 100 };

/* Appends `text` and a newline. The current line already has `used` columns; further lines begin
 * with `indent` blanks. A word longer than a line is cut. */
void columns_wrap(struct buf *out, size_t used, size_t indent, struct slice text);

/* Appends a shell command ("commitrelay ...", "sudo ...") or an SQL statement, with its ";". One
 * too long for a line is broken at a blank outside of quotes, a shell command with a backslash. If
 * there is no such blank, the line stays too long: a break inside of quotes would change the
 * command. */
void columns_command(struct buf *out, size_t indent, struct slice command);

/* Appends an error's text: prose wrapped, and each command in it on lines of its own if it needs
 * nothing filled in (no "..."). `file` replaces FILE in the first "-c FILE". */
void columns_reason(struct buf *out, size_t indent, const char *text, const char *file);
