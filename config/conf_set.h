/*
 * Stores one value of the file in its field of the struct at `base`, by the type of the key, and
 * checks it. Texts lie in load->memory. RESULT_DONE or RESULT_ERROR, CONFIG for a mistake of the
 * user, one thread.
 */
#pragma once

#include "config/conf_mistake.h"

/* Any type but GROUP and GROUPS, and but NAMED, which conf_named.h reads. `at` is the value's own
 * place. */
int conf_set(struct conf_load *load, struct conf_place at, const struct tree_node *node,
             const struct conf_key *key, void *base, struct error *err) MUST_CHECK;

/* SECRET, as <name>_file: the node is the path of a file, and the value is read from it. */
int conf_set_secret_file(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                         const struct conf_key *key, void *base, struct error *err) MUST_CHECK;

/* MAP, as <name>_file: each value of the node is the path of a file with the value. The pairs are
 * added to those that the field has; a name in both is a mistake. */
int conf_add_map_files(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                       const struct conf_key *key, void *base, struct error *err) MUST_CHECK;

/* The text of a single value, with ${VAR} replaced; it lies in load->memory. CONFIG for a list, a
 * map and a null. *ret_expanded: it held a ${VAR}; may be NULL. `at` is the value's own place. */
int conf_scalar(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                char **ret, bool *ret_expanded, struct error *err) MUST_CHECK;

/* The node if it is a map; a null is an empty map (*ret is NULL). CONFIG for anything else. */
int conf_expect_map(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                    const struct tree_node **ret, struct error *err) MUST_CHECK;

/* Stores what an absent key without a default has: "", 0, false, the first choice, an empty list or
 * map. */
void conf_set_nothing(const struct conf_key *key, void *base);
