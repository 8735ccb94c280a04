/*
 * Fills a plain struct from a map of the YAML file by a key table, and checks everything that the
 * table says.
 *
 * The strings lie in load->memory. One thread. Functions that can fail return RESULT_DONE or
 * RESULT_ERROR; a mistake of the user is CONFIG, a key table that refuses its own default is FATAL.
 */
#pragma once

#include "config/conf_mistake.h"

/* Fills the struct at `base` with the keys of `map`. Keys that the map does not have get their
 * defaults; `map` NULL: all do. `line` is where the map stands, or should stand. `extra` (ended by
 * NULL; may be NULL) are further keys that are allowed: the caller reads them. An unknown key is a
 * mistake. */
int conf_fill(struct conf_load *load, struct conf_place at, int line, const struct tree_node *map,
              const struct conf_key *keys, const char *const *extra, void *base,
              struct error *err) MUST_CHECK;
