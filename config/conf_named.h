/*
 * Lists whose items are words or named values: [id, {column: kind, as: eventType}, {value: shop,
 * as: origin}].
 */
#pragma once

#include "config/conf_fill.h"

/* `at` is the value's own place; the key is a CONF_NAMED. */
int conf_set_named(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                   const struct conf_key *key, void *base, struct error *err) MUST_CHECK;
