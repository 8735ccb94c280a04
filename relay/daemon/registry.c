/* registry.def, turned into tables. */
#include "daemon/registry.h"

#include <string.h>

#define SOURCE(name) extern const struct source_ops source_##name;
#define SINK(name) extern const struct sink_ops sink_##name;
#include "daemon/registry.def"
#undef SOURCE
#undef SINK

static const struct source_ops *const sources[] = {
#define SOURCE(name) &source_##name,
#define SINK(name)
#include "daemon/registry.def"
#undef SOURCE
#undef SINK
    NULL};

static const struct sink_ops *const sinks[] = {
#define SOURCE(name)
#define SINK(name) &sink_##name,
#include "daemon/registry.def"
#undef SOURCE
#undef SINK
    NULL};

/* Contract words of later versions: refused by name, never accepted and ignored. */
static const struct conf_later later[] = {{"sink", "compression"},
                                          {"sink", "hmac_key_file"},
                                          {"sink.delimited", "quote"},
                                          {"sink.delimited", "null_text"},
                                          {"sink.delimited", "header"},
                                          {"sink.delimited", "line_end"},
                                          {NULL, NULL}};

const struct source_ops *const *registry_sources(void)
{
    return sources;
}

const struct sink_ops *const *registry_sinks(void)
{
    return sinks;
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

const struct conf_plugins *registry_conf_plugins(void)
{
    static struct conf_plugin source_table[sizeof sources / sizeof sources[0]];
    static struct conf_plugin sink_table[sizeof sinks / sizeof sinks[0]];
    static const struct conf_plugins plugins = {source_table, sink_table, later};
    for (size_t i = 0; sources[i]; i++) {
        source_table[i] = (struct conf_plugin){sources[i]->name, sources[i]->help, sources[i]->keys,
                                               sources[i]->conf_size};
    }
    for (size_t i = 0; sinks[i]; i++) {
        sink_table[i] = (struct conf_plugin){sinks[i]->name, sinks[i]->help, sinks[i]->keys,
                                             sinks[i]->conf_size};
    }
    return &plugins;
}
