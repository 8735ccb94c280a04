/*
 * JSON values of texts from servers and files, which need not be valid UTF-8. Jansson makes no
 * string of such a text; here it becomes "(not UTF-8)", so that the rest of the answer is not lost.
 * The caller owns the value (json_decref). Any thread.
 */
#pragma once

#include "base/slice.h"
#include <jansson.h>
#include <stdint.h>

json_t *json_text(struct slice text);     /* JSON null for a null slice */
json_t *json_text_or_null(const char *s); /* JSON null for NULL and "" */

/* A time (microseconds since 1970) as RFC 3339 text; TIME_NONE gives null. */
json_t *json_time(int64_t wall_us);

/* Sets `name` to the text, or `name`_base64 to its base64 if it is no UTF-8. */
void json_set_bytes(json_t *object, const char *name, struct slice bytes);
