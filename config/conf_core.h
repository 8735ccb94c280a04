/*
 * The keys that are no plugin's: their tables, and what a table cannot say about them.
 */
#pragma once

#include "config/conf_fill.h"
#include "config/config.h"

extern const struct conf_key conf_top_keys[]; /* struct config: store, log, admin */
extern const struct conf_key
    conf_pipeline_keys[]; /* struct conf_pipeline: name, route, encode, delivery */

/* What lies beside them in the file and is read by the loader. */
extern const char *const conf_top_extra[];      /* pipelines */
extern const char *const conf_pipeline_extra[]; /* source, sink */
extern const char *const conf_plugin_extra[];   /* type */

int conf_check_top(struct conf_load *load, const struct conf_plugins *plugins,
                   const struct tree_node *map, const struct config *c,
                   struct error *err) MUST_CHECK;
int conf_check_pipeline(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                        const struct conf_pipeline *p, struct error *err) MUST_CHECK;
