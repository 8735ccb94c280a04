/*
 * Reads the value of one key from a plugin's private struct, by the plugin's own key table. The
 * commands use it to ask any plugin for its `url` or `table` without knowing the struct. The name
 * "columns.seq" means the key `seq` in the group `columns`.
 *
 * Texts that are returned belong to the struct, or are static. `conf` is a struct that this table
 * has filled. Any thread may call.
 */
#pragma once

#include "config/conf_key.h"

/* The text of a STRING or SECRET key. NULL: there is no such key, or it has another type. */
const char *conf_ask_text(const struct conf_key *keys, const void *conf, const char *name);

/* The word of an ENUM key. NULL: there is no such key, or it has another type. */
const char *conf_ask_word(const struct conf_key *keys, const void *conf, const char *name);

/* Whether the file has this key. Also false where the table does not record that (given_offset). */
bool conf_ask_given(const struct conf_key *keys, const void *conf, const char *name);
