/*
 * JSON values of texts from servers and files, which need not be valid UTF-8. Jansson makes no
 * string of such a text; here it becomes "(not UTF-8)", so that the rest of the answer is not lost.
 * The caller owns the value (json_decref). Any thread.
 */
#pragma once

#include "base/slice.h"
#include <jansson.h>

json_t *json_text(struct slice text);     /* JSON null for a null slice */
json_t *json_text_or_null(const char *s); /* JSON null for NULL and "" */
