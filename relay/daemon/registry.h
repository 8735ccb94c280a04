/*
 * The plugins this binary has, made from registry.def: `const struct source_ops source_<name>`,
 * `const struct sink_ops sink_<name>` and `const struct store_ops store_<name>` are the only
 * symbols that plugins export. Any thread.
 */
#pragma once

#include "config/config.h"
#include "contract/sink.h"
#include "contract/source.h"
#include "contract/store.h"

/* NULL: this binary has none of that name. */
const struct source_ops *registry_source(const char *name);
const struct sink_ops *registry_sink(const char *name);

/* All of them, ended by NULL. */
const struct source_ops *const *registry_sources(void);
const struct sink_ops *const *registry_sinks(void);
const struct store_ops *const *registry_stores(void);

/* The plugin whose form of URL this is, NULL: none; *ret_value: see url_form.value, a piece of
 * `url`. `stream`: of several sources the one that reads the replication stream, or one that does
 * not. */
const struct source_ops *registry_source_of_url(const char *url, bool stream,
                                                const char **ret_value);
const struct sink_ops *registry_sink_of_url(const char *url, const char **ret_value);
const struct store_ops *registry_store_of_url(const char *url);

/* What the configuration loader needs to know of them. */
const struct conf_plugins *registry_conf_plugins(void);

/* The same for commands that only read: the one sink is called "none" and cannot be opened. */
const struct conf_plugins *registry_conf_sources(void);
