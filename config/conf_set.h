/*
 * Stores one value of the file in its field, by the key's type.
 */
#pragma once

#include "config/conf_fill.h"

/* `at` is the value's own place; every type but GROUP. */
int conf_set(struct conf_load *load, struct conf_place at, const struct tree_node *node,
             const struct conf_key *key, void *base, struct error *err) MUST_CHECK;

/* SECRET: the node is the path of the file that holds the value. */
int conf_set_secret_file(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                         const struct conf_key *key, void *base, struct error *err) MUST_CHECK;

/* MAP: each value of the node is the path of the file that holds a value; they are added to those
 * that the field has. */
int conf_add_map_files(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                       const struct conf_key *key, void *base, struct error *err) MUST_CHECK;

/* Absent and without a default: "", 0, false, the first choice, an empty list or map. */
void conf_set_nothing(const struct conf_key *key, void *base);
