/*
 * Text for a terminal: broken at blanks so that a line has at most 100 columns, and commands on
 * lines of their own, so that they can be pasted.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

enum { COLUMNS_MAX = 100 };

/* Appends `text` and a line's end. The line under way has `used` columns; further ones begin with
 * `indent` blanks. A word longer than a line is cut into several. */
void columns_wrap(struct buf *out, size_t used, size_t indent, struct slice text);

/* A command of a shell ("commitrelay ...") or an SQL statement. One too long for a line goes on
 * behind a backslash, or, SQL, at a blank outside of quotes. */
void columns_command(struct buf *out, size_t indent, struct slice command);

/* An error's text: its prose is wrapped, the commands in it that need nothing filled in stand by
 * themselves. `file` is put where the text says "-c FILE". */
void columns_reason(struct buf *out, size_t indent, const char *text, const char *file);
