/*
 * Reads the key `consumers`: a list of maps, each with the key table here and a `from`, whose keys
 * are those of its type. One thread.
 */
#pragma once

#include "config/conf_mistake.h"
#include "config/config.h"

extern const struct conf_key conf_consumer_keys[]; /* fill struct conf_consumer */

/* Keys of an entry that are not in the table: from. Ended by NULL. */
extern const char *const conf_consumer_extra[];

/* Checks what the table cannot: the name, and that `apply` has one of its keys. `map` is the entry
 * in the file. CONFIG. */
int conf_consumer_check(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                        const struct conf_consumer *c, struct error *err) MUST_CHECK;

/* Appends all settings as text, with secrets hashed (conf_fingerprint.h). */
void conf_consumer_fingerprint(struct buf *out, const struct conf_consumer *c);
