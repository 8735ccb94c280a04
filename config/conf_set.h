/*
 * Stores one value of the file in its field of the struct at `base`, by the type of the key, and
 * checks it. Texts lie in load->memory. As in conf_fill.h: RESULT_DONE or RESULT_ERROR, CONFIG for
 * a mistake of the user, one thread.
 */
#pragma once

#include "config/conf_fill.h"

/* Any type but GROUP. `at` is the value's own place. */
int conf_set(struct conf_load *load, struct conf_place at, const struct tree_node *node,
             const struct conf_key *key, void *base, struct error *err) MUST_CHECK;

/* SECRET, as <name>_file: the node is the path of a file, and the value is read from it. */
int conf_set_secret_file(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                         const struct conf_key *key, void *base, struct error *err) MUST_CHECK;

/* MAP, as <name>_file: each value of the node is the path of a file with the value. The pairs are
 * added to those that the field has; a name in both is a mistake. */
int conf_add_map_files(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                       const struct conf_key *key, void *base, struct error *err) MUST_CHECK;

/* Stores what an absent key without a default has: "", 0, false, the first choice, an empty list or
 * map. */
void conf_set_nothing(const struct conf_key *key, void *base);
