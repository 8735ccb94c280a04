/*
 * Reads the key `mask` of a pipeline: a list of maps, each with a key table of its own. It is apart
 * from the other types of keys, because its items may hold secrets (`key_file`). One thread.
 */
#pragma once

#include "base/buf.h"
#include "config/conf_mistake.h"
#include "config/config.h"

extern const struct conf_key conf_mask_keys[]; /* fill struct conf_mask */

/* Stores the list, which lies in load->memory; an absent key is an empty one. `pipeline` is the map
 * that may have the key, `at` its place. CONFIG also for a rule without the key that it needs, and
 * for one with a key that it does not need. */
int conf_mask_load(struct conf_load *load, struct conf_place at, const struct tree_node *pipeline,
                   struct conf_mask_list *ret, struct error *err) MUST_CHECK;

/* Appends all settings as text, with keys hashed (conf_fingerprint.h). */
void conf_mask_fingerprint(struct buf *out, const struct conf_mask_list *list);
