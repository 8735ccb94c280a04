/* Fills any plugin's configuration through its key table, as the loader does. */
#include "../unit/unit.h"

#include "plugin_conf.h"

#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *plugin_conf_new(const struct conf_key *keys, size_t conf_size, void **ret_memory)
{
    struct error err = {0};
    void *conf = calloc(1, conf_size ? conf_size : 1);
    if (!conf || config_defaults(keys, conf, ret_memory, &err) != RESULT_DONE) {
        fprintf(stderr, "defaults: %s\n", err.text);
        exit(1);
    }
    return conf;
}

void plugin_conf_free(void *conf, void *memory)
{
    config_defaults_free(memory);
    free(conf);
}

static const struct conf_key *find(const struct conf_key *keys, const char *name, size_t len,
                                   size_t *offset)
{
    for (; keys->name; keys++) {
        if (strlen(keys->name) == len && memcmp(keys->name, name, len) == 0) {
            *offset += keys->offset;
            return keys;
        }
    }
    return NULL;
}

static const struct conf_key *locate(const struct conf_key *keys, const char *name, size_t *offset)
{
    const char *dot = strchr(name, '.');
    *offset = 0;
    if (!dot) {
        return find(keys, name, strlen(name), offset);
    }
    const struct conf_key *group = find(keys, name, (size_t)(dot - name), offset);
    return group && group->group ? find(group->group, dot + 1, strlen(dot + 1), offset) : NULL;
}

static const struct conf_key *demand(const struct conf_key *keys, const char *name, size_t *offset)
{
    const struct conf_key *k = locate(keys, name, offset);
    if (!k) {
        fprintf(stderr, "the plugin has no key %s: adapt the fixture\n", name);
        exit(1);
    }
    return k;
}

void plugin_conf_text(const struct conf_key *keys, void *conf, const char *name, const char *value)
{
    size_t offset;
    const struct conf_key *k = demand(keys, name, &offset);
    char *at = (char *)conf + offset;
    if (k->given_offset) {
        *(bool *)(void *)(at - k->offset + k->given_offset) = true;
    }
    if (k->type != CONF_ENUM) {
        memcpy(at, &value, sizeof value);
        return;
    }
    for (int i = 0; k->choices[i]; i++) {
        if (strcmp(k->choices[i], value) == 0) {
            memcpy(at, &i, sizeof i);
            return;
        }
    }
    fprintf(stderr, "key %s has no choice %s: adapt the fixture\n", name, value);
    exit(1);
}

void plugin_conf_bool(const struct conf_key *keys, void *conf, const char *name, bool value)
{
    size_t offset;
    demand(keys, name, &offset);
    memcpy((char *)conf + offset, &value, sizeof value);
}

void plugin_conf_number(const struct conf_key *keys, void *conf, const char *name, int64_t value)
{
    size_t offset;
    demand(keys, name, &offset);
    memcpy((char *)conf + offset, &value, sizeof value);
}

void plugin_conf_map(const struct conf_key *keys, void *conf, const char *name,
                     const struct conf_map *value)
{
    size_t offset;
    demand(keys, name, &offset);
    memcpy((char *)conf + offset, value, sizeof *value);
}

const char *const *plugin_conf_choices(const struct conf_key *keys, const char *name)
{
    size_t offset;
    const struct conf_key *k = locate(keys, name, &offset);
    return k ? k->choices : NULL;
}
