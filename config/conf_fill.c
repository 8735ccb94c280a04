/* Fills a struct from a map of the file. Each key of the table gets the value of the file, checked,
 * or its default. Each key of the file must be in the table, because a mistyped key would otherwise
 * be ignored silently. */
#include "config/conf_fill.h"

#include "base/buf.h"
#include "config/conf_debezium.h"
#include "config/conf_named.h"
#include "config/conf_set.h"
#include "config/conf_suggest.h"
#include <stdio.h>

/* How many names an error text can list. */
enum { NAMES_MAX = 128 };

/* Whether `name` is the key with _file behind it, such as "password_file" for "password". Secrets
 * have this variant, and maps whose values may be some. */
static bool is_file_variant(const struct conf_key *key, struct slice name)
{
    size_t n = strlen(key->name);
    bool has_one = key->type == CONF_SECRET || (key->type == CONF_MAP && !key->shown);
    return has_one && name.len == n + 5 && memcmp(name.ptr, key->name, n) == 0 &&
           memcmp(name.ptr + n, "_file", 5) == 0;
}

/* Exact names come first: a key that is itself called x_file wins over the variant of x. */
static const struct conf_key *find_key(const struct conf_key *keys, struct slice name,
                                       bool *ret_file)
{
    *ret_file = false;
    for (const struct conf_key *k = keys; k && k->name; k++) {
        if (slice_equal_str(name, k->name)) {
            return k;
        }
    }
    for (const struct conf_key *k = keys; k && k->name; k++) {
        if (is_file_variant(k, name)) {
            *ret_file = true;
            return k;
        }
    }
    return NULL;
}

static bool in_list(const char *const *names, struct slice name)
{
    for (; names && *names; names++) {
        if (slice_equal_str(name, *names)) {
            return true;
        }
    }
    return false;
}

/* All keys that are allowed, for the error text. */
static size_t all_names(const struct conf_key *keys, const char *const *extra,
                        const char *names[NAMES_MAX])
{
    size_t n = 0;
    for (; extra && *extra && n < NAMES_MAX; extra++) {
        names[n++] = *extra;
    }
    for (; keys && keys->name && n < NAMES_MAX; keys++) {
        names[n++] = keys->name;
    }
    return n;
}

static int unknown_key(struct conf_load *load, struct conf_place at, const struct tree_pair *pair,
                       const struct conf_key *keys, const char *const *extra, struct error *err)
{
    const char *in = *at.path ? " in " : " at the top level";
    char shown[TREE_SHOWN_SIZE];
    tree_shown(pair->key, shown);
    if (conf_is_later(load, at.where, pair->key.ptr)) {
        return conf_fail(load, pair->line, err, "key `%s`%s%s is not in this version; remove it",
                         shown, in, at.path);
    }
    const char *names[NAMES_MAX];
    CLEANUP(buf_release) struct buf hint = {0};
    if (!debezium_hint(&hint, pair->key)) {
        suggest_add(&hint, pair->key, "known keys", names, all_names(keys, extra, names));
    }
    return conf_fail(load, pair->line, err, "unknown key `%s`%s%s%s", shown, in, at.path,
                     buf_str(&hint));
}

static int check_name(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                      const struct tree_pair *pair, const struct conf_key *keys,
                      const char *const *extra, struct error *err)
{
    bool file;
    const struct conf_key *key = find_key(keys, pair->key, &file);
    if (!key && !in_list(extra, pair->key)) {
        return unknown_key(load, at, pair, keys, extra, err);
    }
    /* A map may have both: some values here, some in files. */
    bool one_of = file && key->type != CONF_MAP;
    const struct tree_pair *both = one_of ? tree_find(map, key->name) : NULL;
    if (both) {
        return conf_fail(load, pair->line, err,
                         "%s%s%s and %s (line %d) are both given; keep one of them", at.path,
                         *at.path ? "." : "", pair->key.ptr, key->name, both->line);
    }
    return RESULT_DONE;
}

static int check_names(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                       const struct conf_key *keys, const char *const *extra, struct error *err)
{
    for (size_t i = 0; i < map->count; i++) {
        if (check_name(load, at, map, &map->pairs[i], keys, extra, err) && conf_go_on(load, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

/* Stores whether the file has the key, where the struct has a field for it. */
static void mark_given(const struct conf_key *key, void *base, bool given)
{
    if (key->given_offset) {
        *(bool *)((char *)base + key->given_offset) = given;
    }
    if (key->type == CONF_LIST) {
        ((struct conf_list *)((char *)base + key->offset))->given = given;
    } else if (key->type == CONF_LISTS) {
        ((struct conf_lists *)((char *)base + key->offset))->given = given;
    } else if (key->type == CONF_NAMED) {
        ((struct conf_named_list *)((char *)base + key->offset))->words.given = given;
    }
}

static int fill_group(struct conf_load *load, struct conf_place at, int line,
                      const struct tree_node *node, const struct conf_key *key, void *base,
                      struct error *err)
{
    const struct tree_node *map = NULL;
    if (node && conf_expect_map(load, at, node, &map, err)) {
        return RESULT_ERROR;
    }
    return conf_fill(load, at, map ? map->line : line, map, key->group, NULL,
                     (char *)base + key->offset, err);
}

static int fill_item(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                     const struct conf_key *key, void *item, struct error *err)
{
    return node->kind != TREE_MAP
               ? conf_fail(load, node->line, err, "%s must be a map of keys", at.path)
               : conf_fill(load, at, node->line, node, key->group, NULL, item, err);
}

static int fill_groups(struct conf_load *load, struct conf_place at, const struct conf_key *key,
                       const struct tree_pair *pair, void *base, struct error *err)
{
    const struct tree_node *list = pair->value;
    struct conf_groups *ret = (struct conf_groups *)(void *)((char *)base + key->offset);
    *ret = (struct conf_groups){0};
    if (list->kind != TREE_LIST || list->count > (size_t)key->max) {
        return conf_fail(load, pair->line, err, "%s.%s must be a list of at most %d maps", at.path,
                         key->name, (int)key->max);
    }
    ret->items = arena_array(load->memory, list->count + 1, key->group_size);
    for (; ret->count < list->count; ret->count++) {
        char name[64];
        snprintf(name, sizeof name, "%s[%zu]", key->name, ret->count);
        void *item = (char *)ret->items + ret->count * key->group_size;
        if (fill_item(load, conf_place_child(load, at, name), list->items[ret->count], key, item,
                      err) &&
            conf_go_on(load, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

/* Whether the value is empty. An empty required text is as useless as a missing one. */
static bool is_empty(const struct conf_key *key, const void *base)
{
    const void *field = (const char *)base + key->offset;
    switch (key->type) {
    case CONF_STRING:
    case CONF_SECRET:
        return **(char *const *)field == '\0';
    case CONF_LIST:
        return ((const struct conf_list *)field)->count == 0;
    default:
        return false;
    }
}

static int set_value(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                     const struct conf_key *key, void *base, struct error *err)
{
    return key->type == CONF_NAMED ? conf_set_named(load, at, node, key, base, err)
                                   : conf_set(load, at, node, key, base, err);
}

static int fill_key(struct conf_load *load, struct conf_place at, const struct tree_pair *pair,
                    bool file, const struct conf_key *key, void *base, struct error *err)
{
    struct conf_place place = conf_place_child(load, at, pair->key.ptr);
    int result;
    if (key->type == CONF_GROUP) {
        result = fill_group(load, place, pair->line, pair->value, key, base, err);
    } else if (key->type == CONF_GROUPS) {
        result = fill_groups(load, at, key, pair, base, err);
    } else if (file) {
        result = conf_set_secret_file(load, place, pair->value, key, base, err);
    } else {
        result = set_value(load, place, pair->value, key, base, err);
    }
    if (result) {
        return result;
    }
    if (key->required && is_empty(key, base)) {
        return conf_fail(load, pair->line, err, "%s is required and must not be empty", place.path);
    }
    mark_given(key, base, true);
    return RESULT_DONE;
}

/* A default that its own table refuses is a bug in the table, not a mistake of the user: FATAL. */
static int default_failed(const struct conf_key *key, struct error *err)
{
    char text[sizeof err->text];
    memcpy(text, err->text, sizeof text);
    return error_set(err, ERROR_FATAL, "config", "bug: the default of key `%s`: %s", key->name,
                     text);
}

static int fill_default(struct conf_load *load, struct conf_place at, const struct conf_key *key,
                        void *base, struct error *err)
{
    struct conf_place place = conf_place_child(load, at, key->name);
    struct conf_load quiet = *load;
    quiet.is_default = true;
    struct tree_node word = {.kind = TREE_SCALAR, .line = 0};
    const struct tree_node *node = &word;
    if (!key->fallback) {
        conf_set_nothing(key, base);
        return RESULT_DONE;
    }
    /* Most defaults are taken as they stand: "{aggregateid}" is a text, though YAML would read it
     * as a map. Lists, maps and quoted texts are parsed. */
    word.text = slice_from(key->fallback);
    bool yaml = key->type == CONF_LIST || key->type == CONF_NAMED || key->type == CONF_MAP ||
                *key->fallback == '"' || *key->fallback == '\'';
    word.quoted = key->type == CONF_STRING || key->type == CONF_SECRET;
    if (yaml && (tree_parse("default", word.text, load->scratch, &node, err) || !node)) {
        return default_failed(key, err);
    }
    return set_value(&quiet, place, node, key, base, err) ? default_failed(key, err) : RESULT_DONE;
}

/* The pair of the key's _file variant; NULL if there is none. */
static const struct tree_pair *file_pair(const struct tree_node *map, const struct conf_key *key)
{
    for (size_t i = 0; map && i < map->count; i++) {
        if (is_file_variant(key, map->pairs[i].key)) {
            return &map->pairs[i];
        }
    }
    return NULL;
}

/* The pair that gives the value of the key, as itself or, for a secret, as its _file variant. */
static const struct tree_pair *given_pair(const struct tree_node *map, const struct conf_key *key,
                                          bool *ret_file)
{
    const struct tree_pair *pair = tree_find(map, key->name);
    *ret_file = !pair && key->type == CONF_SECRET && file_pair(map, key);
    return *ret_file ? file_pair(map, key) : pair;
}

/* Adds the values of a map that come from files, behind those that stand in the configuration
 * itself. */
static int fill_map_files(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                          const struct conf_key *key, void *base, struct error *err)
{
    bool files = key->type == CONF_MAP && !key->shown;
    const struct tree_pair *pair = files ? file_pair(map, key) : NULL;
    if (!pair) {
        return RESULT_DONE;
    }
    return conf_add_map_files(load, conf_place_child(load, at, pair->key.ptr), pair->value, key,
                              base, err);
}

static int missing_key(struct conf_load *load, struct conf_place at, int line,
                       const struct conf_key *key, struct error *err)
{
    return conf_fail(load, line, err, "required key `%s` is missing in %s", key->name,
                     *at.path ? at.path : "the file");
}

/* Fills one key: from the file, else with its default. A group is always gone through, because its
 * keys have defaults too. */
static int fill_any(struct conf_load *load, struct conf_place at, int line,
                    const struct tree_node *map, const struct conf_key *key, void *base,
                    struct error *err)
{
    bool file;
    int result;
    const struct tree_pair *pair = given_pair(map, key, &file);
    mark_given(key, base, false);
    if (pair) {
        result = fill_key(load, at, pair, file, key, base, err);
    } else if (key->type == CONF_GROUP) {
        struct conf_place place = conf_place_child(load, at, key->name);
        result = fill_group(load, place, line, NULL, key, base, err);
    } else if (key->required && !key->fallback && !load->is_default) {
        result = missing_key(load, at, line, key, err);
    } else {
        result = fill_default(load, at, key, base, err);
    }
    return result ? result : fill_map_files(load, at, map, key, base, err);
}

int conf_fill(struct conf_load *load, struct conf_place at, int line, const struct tree_node *map,
              const struct conf_key *keys, const char *const *extra, void *base, struct error *err)
{
    if (map && check_names(load, at, map, keys, extra, err)) {
        return RESULT_ERROR;
    }
    for (const struct conf_key *key = keys; key && key->name; key++) {
        if (fill_any(load, at, line, map, key, base, err) == RESULT_DONE) {
            continue;
        }
        if (conf_go_on(load, err)) {
            return RESULT_ERROR;
        }
        /* Any valid value, so that the other keys can still be checked. */
        conf_set_nothing(key, base);
    }
    return RESULT_DONE;
}
