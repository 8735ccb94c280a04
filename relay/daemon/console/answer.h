/*
 * Answers of the console in JSON. Any thread.
 */
#pragma once

#include "base/buf.h"
#include <jansson.h>

/* Appends the object as one line and frees it. Returns `status`; 500 if it cannot be written. What
 * a terminal or a page could be misled by is escaped as JSON escapes it. */
int answer_json(struct buf *out, int status, json_t *take);

/* {"error": text}; returns `status`. */
int answer_error(struct buf *out, int status, const char *text);
