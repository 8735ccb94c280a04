/*
 * Asks a plugin's private struct for the value of a key, by the plugin's own key table. The name
 * "columns.seq" means the key `seq` of the group `columns`. What is answered belongs to the struct.
 */
#pragma once

#include "config/conf_key.h"

/* The text of a STRING or SECRET key; NULL: no such key. */
const char *conf_ask_text(const struct conf_key *keys, const void *conf, const char *name);

/* The word of an ENUM key; NULL: no such key. */
const char *conf_ask_word(const struct conf_key *keys, const void *conf, const char *name);

/* Did the file have this key? False also where the table does not note that (given_offset). */
bool conf_ask_given(const struct conf_key *keys, const void *conf, const char *name);
