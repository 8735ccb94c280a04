/*
 * JSON output of commands, over jansson: what is no UTF-8 never costs the whole answer.
 */
#pragma once

#include "daemon/json_value.h"
#include <stdint.h>

json_t *json_time(int64_t wall_us); /* TIME_NONE: null */

/* Sets `name` to the text, or `name`_base64 to its base64 if it is no UTF-8. */
void json_set_bytes(json_t *object, const char *name, struct slice bytes);

/* Prints it as indented text with a newline and frees it. 0 or 74. */
int json_print(json_t *take);
