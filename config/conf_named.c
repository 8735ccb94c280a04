/* Reads a list of words and named values. Every item has one name and no name comes twice: headers
 * of the same name would be ambiguous. */
#include "config/conf_named.h"

#include "config/conf_set.h"
#include "config/conf_suggest.h"

static const char *const item_keys[] = {"column", "value", "as"};
enum { ITEM_KEYS = sizeof item_keys / sizeof *item_keys };

/* Refuses an item with a key other than item_keys. */
static int check_keys(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                      struct error *err)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct tree_pair *pair = &map->pairs[i];
        bool known = false;
        for (size_t k = 0; k < ITEM_KEYS; k++) {
            known = known || slice_equal_str(pair->key, item_keys[k]);
        }
        if (!known) {
            char shown[TREE_SHOWN_SIZE];
            CLEANUP(buf_release) struct buf hint = {0};
            suggest_add(&hint, pair->key, "known keys", item_keys, ITEM_KEYS);
            return conf_fail(load, pair->line, err, "unknown key `%s` in an item of %s%s",
                             tree_shown(pair->key, shown), at.path, buf_str(&hint));
        }
    }
    return RESULT_DONE;
}

/* The text of a key of an item; NULL if the item has no such key. Only `value` may be empty. */
static int take_text(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                     const char *name, char **ret, struct error *err)
{
    const struct tree_pair *pair = tree_find(map, name);
    *ret = NULL;
    if (!pair) {
        return RESULT_DONE;
    }
    if (conf_scalar(load, conf_place_child(load, at, name), pair->value, ret, NULL, err)) {
        return RESULT_ERROR;
    }
    if (!(*ret)[0] && strcmp(name, "value") != 0) {
        return conf_fail(load, pair->line, err, "%s.%s must not be empty", at.path, name);
    }
    return RESULT_DONE;
}

/* Whether an item that was read before has this name. */
static bool taken(const struct conf_named_list *list, const char *name)
{
    for (size_t i = 0; i < list->words.count; i++) {
        if (strcmp(list->words.items[i], name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].as, name) == 0) {
            return true;
        }
    }
    return false;
}

static int take_item(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                     size_t place, struct conf_named_list *list, struct error *err)
{
    struct conf_named item = {.place = place};
    char shown[TREE_SHOWN_SIZE];
    if (check_keys(load, at, map, err) || take_text(load, at, map, "column", &item.column, err) ||
        take_text(load, at, map, "value", &item.value, err) ||
        take_text(load, at, map, "as", &item.as, err)) {
        return RESULT_ERROR;
    }
    if (!item.as || !item.column == !item.value) {
        return conf_fail(load, map->line, err,
                         "%s: an item is a word, {column: C, as: NAME} or {value: V, as: NAME}",
                         at.path);
    }
    if (taken(list, item.as)) {
        return conf_fail(load, map->line, err, "%s names `%s` twice; remove one", at.path,
                         tree_shown(slice_from(item.as), shown));
    }
    list->items[list->count++] = item;
    return RESULT_DONE;
}

int conf_set_named(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                   const struct conf_key *key, void *base, struct error *err)
{
    struct conf_named_list *list = (struct conf_named_list *)(void *)((char *)base + key->offset);
    /* The same list without its maps: conf_set reads the words as a plain list. */
    struct tree_node words = *node;
    size_t count = node->kind == TREE_LIST ? node->count : 0;
    if (count > 0) {
        words.items = arena_array(load->scratch, count, sizeof *words.items);
        words.count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (node->items[i]->kind != TREE_MAP) {
            words.items[words.count++] = node->items[i];
        }
    }
    struct conf_key plain = *key;
    plain.type = CONF_LIST;
    plain.offset += offsetof(struct conf_named_list, words);
    if (conf_set(load, at, &words, &plain, base, err)) {
        return RESULT_ERROR;
    }
    list->items = arena_array(load->memory, count + 1, sizeof *list->items);
    list->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (node->items[i]->kind == TREE_MAP && take_item(load, at, node->items[i], i, list, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}
