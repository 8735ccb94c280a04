/*
 * The key tables of everything that is not a plugin's, and the checks that a table cannot express.
 * Constant data, and functions without state that the loader calls on its own thread.
 */
#pragma once

#include "config/conf_mistake.h"
#include "config/config.h"

extern const struct conf_key conf_top_keys[]; /* fill struct config: store, log, admin */
extern const struct conf_key
    conf_pipeline_keys[]; /* fill struct conf_pipeline: name, route, encode, delivery */

/* Keys that are allowed beside those of the tables, ended by NULL. The loader reads them itself. */
extern const char *const conf_top_extra[];      /* pipelines, consumers */
extern const char *const conf_pipeline_extra[]; /* source, sink, mask */
extern const char *const conf_plugin_extra[];   /* type */

/* Whether a pipeline or consumer may have the name. */
bool conf_name_valid(const char *name);

/* Check what the tables cannot: the form of URLs, addresses and names, and keys that must fit each
 * other. `map` is the map in the file and gives the line for messages. They end at the first
 * mistake. CONFIG. */
int conf_check_top(struct conf_load *load, const struct conf_plugins *plugins,
                   const struct tree_node *map, const struct config *c,
                   struct error *err) MUST_CHECK;
int conf_check_pipeline(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                        const struct conf_pipeline *p, struct error *err) MUST_CHECK;
