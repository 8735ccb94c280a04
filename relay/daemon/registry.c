/* Makes tables of the plugins. "plugins.def" is made by cmake/plugins.cmake: the lines of
 * registry.def that are in this build. */
#include "daemon/registry.h"

#include "consume/from/from.h"
#include <string.h>

#define SOURCE(name) extern const struct source_ops source_##name;
#define SINK(name) extern const struct sink_ops sink_##name;
#define STORE(name) extern const struct store_ops store_##name;
#include "plugins.def"
#undef SOURCE
#undef SINK
#undef STORE

static const struct source_ops *const sources[] = {
#define SOURCE(name) &source_##name,
#define SINK(name)
#define STORE(name)
#include "plugins.def"
#undef SOURCE
#undef SINK
#undef STORE
    NULL};

static const struct sink_ops *const sinks[] = {
#define SOURCE(name)
#define SINK(name) &sink_##name,
#define STORE(name)
#include "plugins.def"
#undef SOURCE
#undef SINK
#undef STORE
    NULL};

static const struct store_ops *const stores[] = {
#define SOURCE(name)
#define SINK(name)
#define STORE(name) &store_##name,
#include "plugins.def"
#undef SOURCE
#undef SINK
#undef STORE
    NULL};

/* Keys of later versions. The error says so; if they were accepted and ignored, a user would
 * believe that they work. */
static const struct conf_later later[] = {{NULL, NULL}};

const struct source_ops *const *registry_sources(void)
{
    return sources;
}

const struct sink_ops *const *registry_sinks(void)
{
    return sinks;
}

const struct store_ops *const *registry_stores(void)
{
    return stores;
}

const struct source_ops *registry_source(const char *name)
{
    for (size_t i = 0; sources[i]; i++) {
        if (strcmp(sources[i]->name, name) == 0) {
            return sources[i];
        }
    }
    return NULL;
}

const struct sink_ops *registry_sink(const char *name)
{
    for (size_t i = 0; sinks[i]; i++) {
        if (strcmp(sinks[i]->name, name) == 0) {
            return sinks[i];
        }
    }
    return NULL;
}

const struct source_ops *registry_source_of_url(const char *url, bool stream,
                                                const char **ret_value)
{
    for (size_t i = 0; sources[i]; i++) {
        const char *value = sources[i]->stream == stream ? sources[i]->url.value(url) : NULL;
        if (value) {
            *ret_value = value;
            return sources[i];
        }
    }
    return NULL;
}

const struct sink_ops *registry_sink_of_url(const char *url, const char **ret_value)
{
    for (size_t i = 0; sinks[i]; i++) {
        const char *value = sinks[i]->url.value(url);
        if (value) {
            *ret_value = value;
            return sinks[i];
        }
    }
    return NULL;
}

const struct store_ops *registry_store_of_url(const char *url)
{
    for (size_t i = 0; stores[i]; i++) {
        if (stores[i]->url.value(url)) {
            return stores[i];
        }
    }
    return NULL;
}

static bool is_store_url(const char *url)
{
    return registry_store_of_url(url) != NULL;
}

static struct conf_plugin source_table[sizeof sources / sizeof sources[0]];

static void fill_sources(void)
{
    for (size_t i = 0; sources[i]; i++) {
        source_table[i] = (struct conf_plugin){sources[i]->name, sources[i]->help, sources[i]->keys,
                                               sources[i]->conf_size};
    }
}

const struct conf_plugins *registry_conf_plugins(void)
{
    static struct conf_plugin sink_table[sizeof sinks / sizeof sinks[0]];
    static struct conf_plugins plugins = {source_table, sink_table, later, is_store_url, NULL};
    plugins.origins = from_conf();
    fill_sources();
    for (size_t i = 0; sinks[i]; i++) {
        sink_table[i] = (struct conf_plugin){sinks[i]->name, sinks[i]->help, sinks[i]->keys,
                                             sinks[i]->conf_size};
    }
    return &plugins;
}

const struct conf_plugins *registry_conf_sources(void)
{
    static const struct conf_key no_keys[] = {CONF_END};
    static const struct conf_plugin none[] = {{"none", "", no_keys, 0}, {.name = NULL}};
    static const struct conf_plugins plugins = {source_table, none, later, is_store_url, NULL};
    fill_sources();
    return &plugins;
}
