/*
 * Reads a list whose items are words or named values (CONF_NAMED): [id, {column: kind, as:
 * eventType}, {value: shop, as: origin}].
 */
#pragma once

#include "config/conf_mistake.h"

/* Stores the list in the key's field of the struct at `base`. `at` is the value's own place. CONFIG
 * for an unknown word, an item with wrong keys and a name that comes twice. */
int conf_set_named(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                   const struct conf_key *key, void *base, struct error *err) MUST_CHECK;
