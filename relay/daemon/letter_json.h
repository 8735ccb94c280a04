/*
 * A dead letter as JSON, as `dead-letters list --json` prints it and the console reads it. Bytes
 * that are no UTF-8 are base64 in a member NAME_base64. The caller owns the value. Any thread.
 */
#pragma once

#include "contract/store.h"
#include <jansson.h>

/* full: headers, payload and what was edited too. */
json_t *letter_json(const struct store_dead_letter *d, bool full);
