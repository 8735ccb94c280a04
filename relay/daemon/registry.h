/*
 * The plugins of this binary, by name and by URL. A plugin exports one symbol only, such as `const
 * struct sink_ops sink_file`, and registry.def has one line for it, `SINK(file)`. All that is
 * returned is static. Any thread, except where a function says otherwise.
 */
#pragma once

#include "config/config.h"
#include "contract/sink.h"
#include "contract/source.h"
#include "contract/store.h"

/* The plugin of that name; NULL: this binary has none. */
const struct source_ops *registry_source(const char *name);
const struct sink_ops *registry_sink(const char *name);

/* All of them, ended by NULL. */
const struct source_ops *const *registry_sources(void);
const struct sink_ops *const *registry_sinks(void);
const struct store_ops *const *registry_stores(void);

/* The plugin to whose url_form this URL fits; NULL: none. *ret_value: what url_form.value returns
 * for it. stream: look only at sources that read the replication stream, or only at the others. */
const struct source_ops *registry_source_of_url(const char *url, bool stream,
                                                const char **ret_value);
const struct sink_ops *registry_sink_of_url(const char *url, const char **ret_value);
const struct store_ops *registry_store_of_url(const char *url);

/* The plugins and their keys, for the configuration loader. Main thread only: each call fills a
 * static table. */
const struct conf_plugins *registry_conf_plugins(void);

/* The same for commands that only read. Their only sink is called "none" and cannot be opened. */
const struct conf_plugins *registry_conf_sources(void);
