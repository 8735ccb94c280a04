/* Reads values that stand in files of their own: secrets, and maps whose values are secrets. */
#include "config/conf_set.h"

#include "config/conf_text.h"
#include <string.h>

static void *field(const struct conf_key *key, void *base)
{
    return (char *)base + key->offset;
}

/* Reads the file that `node` names. A file that others may write to is refused, because they could
 * choose the secret; one that others may read gives a warning. */
static int read_file(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                     char **ret, struct error *err)
{
    char *path;
    bool world_readable = false;
    if (conf_scalar(load, at, node, &path, NULL, err)) {
        return RESULT_ERROR;
    }
    if (conf_read_secret(path, load->memory, ret, &world_readable, err)) {
        return error_prefix(err, "%s:%d: %s", load->file, node->line, at.path);
    }
    if (world_readable) {
        conf_warn(load, node->line, "%s: the secret file %s is world-readable; chmod 600 it",
                  at.path, path);
    }
    return RESULT_DONE;
}

int conf_set_secret_file(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                         const struct conf_key *key, void *base, struct error *err)
{
    return read_file(load, at, node, (char **)field(key, base), err);
}

static const struct conf_pair *find_pair(const struct conf_map *map, const char *name)
{
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->pairs[i].name, name) == 0) {
            return &map->pairs[i];
        }
    }
    return NULL;
}

int conf_add_map_files(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                       const struct conf_key *key, void *base, struct error *err)
{
    const struct tree_node *from = NULL;
    struct conf_map *map = field(key, base);
    if (conf_expect_map(load, at, node, &from, err)) {
        return RESULT_ERROR;
    }
    size_t count = from ? from->count : 0;
    struct conf_pair *pairs = arena_array(load->memory, map->count + count + 1, sizeof *pairs);
    for (size_t i = 0; i < map->count; i++) {
        pairs[i] = map->pairs[i];
    }
    map->pairs = pairs;
    for (size_t i = 0; i < count; i++) {
        const struct tree_pair *pair = &from->pairs[i];
        struct conf_place place = conf_place_child(load, at, pair->key.ptr);
        if (pair->key.len == 0) {
            return conf_fail(load, pair->line, err, "%s has a key without a name", at.path);
        }
        if (find_pair(map, pair->key.ptr)) {
            return conf_fail(load, pair->line, err, "%s and %s.%s are both given; keep one of them",
                             place.path, key->name, pair->key.ptr);
        }
        struct slice name = arena_copy(load->memory, pair->key);
        pairs[map->count].name = (char *)(uintptr_t)name.ptr; /* our own copy */
        if (read_file(load, place, pair->value, &pairs[map->count].value, err)) {
            return RESULT_ERROR;
        }
        map->count++;
    }
    return RESULT_DONE;
}
