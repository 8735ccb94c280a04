/*
 * JSON output of commands, over jansson. Any thread may call.
 */
#pragma once

#include "base/result.h"
#include "daemon/json_value.h"

/* Prints it as indented text with a newline and frees it. Returns 0; 74 if stdout fails; 70 if it
 * cannot be written as JSON. */
int json_print(json_t *take) MUST_CHECK;
