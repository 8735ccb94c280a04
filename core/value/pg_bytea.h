/*
 * PostgreSQL's text of a bytea in its hex form, "\x" and two lower-case digits a byte (manual,
 * section 8.4.1; the sessions set bytea_output for it). Plain functions, any thread.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>

/* The bytes, of which there are text.len / 2 - 1, to `out`; false when it is no such text. */
bool pg_bytea_parse(struct slice text, char *out);
