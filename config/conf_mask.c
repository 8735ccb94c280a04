/* Reads the rules of `mask`. What a path may name depends on the source, so message/mask/mask.h
 * judges it. */
#include "config/conf_mask.h"

#include "config/conf_fill.h"
#include "config/conf_fingerprint.h"
#include <stdio.h>

/* In the sequence of CONF_MASK_*. */
static const char *const words[] = {"drop",  "null",     "redact", "last4",   "hmac", "sha256",
                                    "stars", "truncate", "hash",   "hash_v2", NULL};
static const char *const helps[] = {"the member or column is left out",
                                    "null",
                                    "the text `***`",
                                    "the text `****` and the last four characters",
                                    "HMAC-SHA-256 with the key, as hex",
                                    "SHA-256, as hex",
                                    "`length` times `*`, a null included (Debezium's "
                                    "`column.mask.with.N.chars`; columns only)",
                                    "the first `length` characters (`column.truncate.to.N.chars`; "
                                    "columns only)",
                                    "the digest of `column.mask.hash`; `key` is the salt (columns "
                                    "only)",
                                    "that of `column.mask.hash.v2`",
                                    NULL};
const char *const conf_mask_algorithms[] = {"SHA-256", "SHA-384", "SHA-512", "SHA-1", "MD5", NULL};

const struct conf_key conf_mask_keys[] = {
    {"field", CONF_STRING, offsetof(struct conf_mask, field), NULL, .required = true,
     .help = "outbox events: a member of the JSON payload or headers (`payload.customer.email`, "
             "`headers.ip`); table changes: a column (`customers.email`, "
             "`public.customers.email`)"},
    {"with", CONF_ENUM, offsetof(struct conf_mask, how), NULL, .required = true, .choices = words,
     .choices_help = helps, .help = "what stands in its place; a null stays null, but for stars"},
    {"key", CONF_SECRET, offsetof(struct conf_mask, key), NULL,
     .help = "hmac: the secret key; without it nobody can compute the values of guesses. hash, "
             "hash_v2: the salt"},
    {"length", CONF_INT, offsetof(struct conf_mask, length), NULL, 0, 65536,
     .given_offset = offsetof(struct conf_mask, length_given),
     .help = "stars, truncate: how many characters"},
    {"algorithm", CONF_ENUM, offsetof(struct conf_mask, algorithm), "SHA-256",
     .choices = conf_mask_algorithms, .given_offset = offsetof(struct conf_mask, algorithm_given),
     .help = "hash, hash_v2: the digest"},
    CONF_END};

/* The same map, in which `with: null` is the word null: YAML calls it no value. */
static const struct tree_node *null_as_word(struct conf_load *load, const struct tree_node *map)
{
    struct tree_node *copy = arena_array(load->scratch, 1, sizeof *copy);
    struct tree_node *word = arena_array(load->scratch, 1, sizeof *word);
    *copy = *map;
    copy->pairs = arena_array(load->scratch, map->count + 1, sizeof *copy->pairs);
    for (size_t i = 0; i < map->count; i++) {
        copy->pairs[i] = map->pairs[i];
        if (slice_equal_str(map->pairs[i].key, "with") && tree_is_null(map->pairs[i].value)) {
            *word = *map->pairs[i].value;
            word->quoted = true;
            copy->pairs[i].value = word;
        }
    }
    return copy;
}

static int load_item(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                     struct conf_mask *ret, struct error *err)
{
    if (node->kind != TREE_MAP) {
        return conf_fail(load, node->line, err, "%s must be a map: {field: PATH, with: WORD}",
                         at.path);
    }
    size_t before = load->faults_count;
    if (conf_fill(load, at, node->line, null_as_word(load, node), conf_mask_keys, NULL, ret, err)) {
        return RESULT_ERROR;
    }
    if (load->faults_count > before) {
        return RESULT_DONE;
    }
    bool hash = ret->how == CONF_MASK_HASH || ret->how == CONF_MASK_HASH_V2;
    bool counts = ret->how == CONF_MASK_STARS || ret->how == CONF_MASK_TRUNCATE;
    bool needs = ret->how == CONF_MASK_HMAC || hash;
    if (needs && !ret->key[0]) {
        return conf_fail(
            load, node->line, err,
            "%s: `with: %s` needs a key that is not empty; name its file with key_file", at.path,
            words[ret->how]);
    }
    if (!needs && ret->key[0]) {
        return conf_fail(
            load, node->line, err,
            "%s has a key, but only `with: hmac`, `hash` and `hash_v2` use one; remove it",
            at.path);
    }
    if (counts != ret->length_given) {
        return conf_fail(load, node->line, err,
                         counts ? "%s: `with: %s` needs a length"
                                : "%s has a length, but `with: %s` uses none; remove it",
                         at.path, words[ret->how]);
    }
    if (ret->algorithm_given && !hash) {
        return conf_fail(
            load, node->line, err,
            "%s has an algorithm, but only `with: hash` and `hash_v2` use one; remove it", at.path);
    }
    return RESULT_DONE;
}

int conf_mask_load(struct conf_load *load, struct conf_place at, const struct tree_node *pipeline,
                   struct conf_mask_list *ret, struct error *err)
{
    const struct tree_pair *pair = tree_find(pipeline, "mask");
    *ret = (struct conf_mask_list){0};
    if (!pair) {
        return RESULT_DONE;
    }
    const struct tree_node *list = pair->value;
    if (list->kind != TREE_LIST || list->count > CONF_MASK_MAX) {
        return conf_fail(load, pair->line, err,
                         "%s.mask must be a list of at most %d rules {field: PATH, with: WORD}",
                         at.path, CONF_MASK_MAX);
    }
    ret->items = arena_array(load->memory, list->count + 1, sizeof *ret->items);
    for (; ret->count < list->count; ret->count++) {
        char name[32];
        snprintf(name, sizeof name, "mask[%zu]", ret->count);
        struct conf_place place = conf_place_child(load, at, name);
        if (load_item(load, place, list->items[ret->count], &ret->items[ret->count], err) &&
            conf_go_on(load, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

void conf_mask_fingerprint(struct buf *out, const struct conf_mask_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        conf_fingerprint(out, "mask", conf_mask_keys, &list->items[i]);
    }
}
