/*
 * JSON values of texts that come from servers and files: one that is no UTF-8 never costs the whole
 * answer. The caller owns what is returned. Any thread.
 */
#pragma once

#include "base/slice.h"
#include <jansson.h>

json_t *json_text(struct slice text);     /* null slice: null */
json_t *json_text_or_null(const char *s); /* NULL and "": null */
