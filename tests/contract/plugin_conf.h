/*
 * A plugin's configuration as its own key table describes it: defaults, with values set by name, so
 * that the contract tests know no plugin's private struct.
 */
#pragma once

#include "config/conf_key.h"

/* conf_size bytes with the table's defaults; *ret_memory and the struct are freed by
 * plugin_conf_free. */
void *plugin_conf_new(const struct conf_key *keys, size_t conf_size, void **ret_memory);
void plugin_conf_free(void *conf, void *memory);

/* "key" or "group.key", given as if the file had it. Text is borrowed; ENUM takes one of its words.
 * Without such a key the test ends. */
void plugin_conf_text(const struct conf_key *keys, void *conf, const char *name, const char *value);
void plugin_conf_bool(const struct conf_key *keys, void *conf, const char *name, bool value);
void plugin_conf_number(const struct conf_key *keys, void *conf, const char *name, int64_t value);
void plugin_conf_map(const struct conf_key *keys, void *conf, const char *name,
                     const struct conf_map *value);

/* The words of an ENUM key, ended by NULL; NULL when there is no such key. */
const char *const *plugin_conf_choices(const struct conf_key *keys, const char *name);
