/*
 * JSON output of commands, over jansson. Bytes that are not UTF-8 are given as base64, so that one
 * such value does not make the whole output fail. Any thread may call.
 */
#pragma once

#include "base/result.h"
#include "daemon/json_value.h"
#include <stdint.h>

/* A time (microseconds since 1970) as RFC 3339 text; TIME_NONE gives null. The caller owns it. */
json_t *json_time(int64_t wall_us);

/* Sets `name` to the text, or `name`_base64 to its base64 if it is no UTF-8. */
void json_set_bytes(json_t *object, const char *name, struct slice bytes);

/* Prints it as indented text with a newline and frees it. Returns 0; 74 if stdout fails; 70 if it
 * cannot be written as JSON. */
int json_print(json_t *take) MUST_CHECK;
