/*
 * Reads PostgreSQL's text of a bytea in its hex form: "\x", then two lower-case hex digits for each
 * byte (manual, section 8.4.1). The server writes this form because our sessions set bytea_output.
 *
 * Any thread. Nothing is allocated.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>

/* Writes the bytes to `out`, which the caller owns and which needs text.len / 2 - 1 bytes. False,
 * and `out` is garbage, if the text has another form; a null slice has. */
bool pg_bytea_parse(struct slice text, char *out);
