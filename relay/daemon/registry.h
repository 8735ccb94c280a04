/*
 * The plugins this binary has, made from registry.def: `const struct source_ops source_<name>` and
 * `const struct sink_ops sink_<name>` are the only symbols a plugin exports.
 */
#pragma once

#include "config/config.h"
#include "contract/sink.h"
#include "contract/source.h"

const struct source_ops *registry_source(const char *name); /* NULL: unknown */
const struct sink_ops *registry_sink(const char *name);

/* All of them, ended by NULL. */
const struct source_ops *const *registry_sources(void);
const struct sink_ops *const *registry_sinks(void);

/* What the configuration loader needs to know of them. */
const struct conf_plugins *registry_conf_plugins(void);
