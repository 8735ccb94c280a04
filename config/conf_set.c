/* Reads one value by its type. An error says where the value stands and what is allowed. It does
 * not show the value where it may hold a secret. */
#include "config/conf_set.h"

#include "base/buf.h"
#include "config/conf_suggest.h"
#include "config/conf_text.h"
#include "config/conf_value.h"

struct scalar {
    char *text;
    bool expanded; /* it held a ${VAR}, so messages do not show it */
    int line;
};

static void *field(const struct conf_key *key, void *base)
{
    return (char *)base + key->offset;
}

/* What a node is, for messages. */
static const char *kind_name(const struct tree_node *node)
{
    return node->kind == TREE_LIST  ? "a list"
           : node->kind == TREE_MAP ? "a map"
           : tree_is_null(node)     ? "nothing"
                                    : "a single value";
}

int conf_expect_map(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                    const struct tree_node **ret, struct error *err)
{
    if (node->kind == TREE_MAP || tree_is_null(node)) {
        *ret = node->kind == TREE_MAP ? node : NULL;
        return RESULT_DONE;
    }
    return conf_fail(load, node->line, err, "%s must be a map of keys, but is %s", at.path,
                     kind_name(node));
}

int conf_scalar(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                char **ret, bool *ret_expanded, struct error *err)
{
    bool expanded = false;
    if (node->kind != TREE_SCALAR) {
        return conf_fail(load, node->line, err, "%s must be a single value, but is %s", at.path,
                         kind_name(node));
    }
    if (load->is_default) {
        struct slice copy = arena_copy(load->memory, node->text);
        *ret = (char *)(uintptr_t)copy.ptr; /* the copy is ours, so it may be written to */
    } else if (tree_is_null(node)) {
        return conf_fail(
            load, node->line, err,
            "%s has no value; remove the key for its default, or write \"\" for an empty text",
            at.path);
    } else if (conf_expand(node->text, load->memory, ret, &expanded, err)) {
        return error_prefix(err, "%s:%d: %s", load->file, node->line, at.path);
    }
    if (ret_expanded) {
        *ret_expanded = expanded;
    }
    return RESULT_DONE;
}

static int read_scalar(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                       struct scalar *ret, struct error *err)
{
    ret->line = node->line;
    return conf_scalar(load, at, node, &ret->text, &ret->expanded, err);
}

/* The value for a message, in backquotes, or a hint in its place. */
static const char *shown(const struct scalar *value, char out[TREE_SHOWN_SIZE + 2])
{
    char text[TREE_SHOWN_SIZE];
    if (value->expanded) {
        return "the value of its ${VAR}";
    }
    out[0] = '`';
    strcpy(out + 1, tree_shown(slice_from(value->text), text));
    strcat(out, "`");
    return out;
}

/* Refuses quotes around a number or bool: "1000" in quotes is a text in YAML. A ${VAR} often has to
 * be quoted, so it may be. */
static int refuse_quotes(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                         const struct scalar *value, const char *what, struct error *err)
{
    if (!node->quoted || value->expanded) {
        return RESULT_DONE;
    }
    return conf_fail(load, node->line, err,
                     "%s is a quoted text, but must be %s: remove the quotes", at.path, what);
}

/* Whether the key is a URL: only a password in it is worth a warning, not the URL itself. */
static bool is_url(const struct conf_key *key)
{
    size_t n = strlen(key->name);
    return strcmp(key->name, "url") == 0 || (n > 4 && strcmp(key->name + n - 4, "_url") == 0);
}

static bool ends_with(const char *text, const char *tail)
{
    size_t n = strlen(text), t = strlen(tail);
    return n >= t && strcmp(text + n - t, tail) == 0;
}

/* Warns about a secret that stands in the file itself. It works, but everyone who may read the file
 * sees it. */
static void warn_inline(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                        bool secret)
{
    bool bare = secret && node->text.len > 0 && !memmem(node->text.ptr, node->text.len, "${", 2);
    if (bare || conf_has_password(node->text)) {
        conf_warn(
            load, node->line,
            "%s holds a password in the file itself; better take it from ${VAR}, a file, or a "
            "passfile or service file of PostgreSQL",
            at.path);
    }
}

static int set_text(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                    const struct conf_key *key, void *base, struct error *err)
{
    struct scalar value = {0};
    if (read_scalar(load, at, node, &value, err)) {
        return RESULT_ERROR;
    }
    warn_inline(load, at, node, key->type == CONF_SECRET && !is_url(key));
    *(char **)field(key, base) = value.text;
    return RESULT_DONE;
}

static int set_bool(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                    const struct conf_key *key, void *base, struct error *err)
{
    struct scalar value = {0};
    char text[TREE_SHOWN_SIZE + 2];
    if (read_scalar(load, at, node, &value, err) ||
        refuse_quotes(load, at, node, &value, "true or false", err)) {
        return RESULT_ERROR;
    }
    bool yes = strcmp(value.text, "true") == 0;
    if (!yes && strcmp(value.text, "false") != 0) {
        return conf_fail(load, value.line, err, "%s: %s is not true or false", at.path,
                         shown(&value, text));
    }
    *(bool *)field(key, base) = yes;
    return RESULT_DONE;
}

static const char *number_kind(enum conf_type type)
{
    switch (type) {
    case CONF_DURATION:
        return "a duration: a whole number with a unit, for example 250ms";
    case CONF_SIZE:
        return "a size: a whole number with a unit, for example 64MiB";
    case CONF_RATIO:
        return "a decimal number";
    default:
        return "a whole number";
    }
}

static int bad_number(struct conf_load *load, struct conf_place at, const struct scalar *value,
                      const struct conf_key *key, enum conf_parse parse, struct error *err)
{
    char text[TREE_SHOWN_SIZE + 2];
    CLEANUP(buf_release) struct buf range = {0};
    conf_add_range(&range, key);
    const char *what = shown(value, text);
    switch (parse) {
    case CONF_PARSE_NO_UNIT:
        return conf_fail(
            load, value->line, err, "%s: %s needs a unit, for example %s (units: %s; allowed: %s)",
            at.path, what, conf_unit_example(key->type), conf_units(key->type), buf_str(&range));
    case CONF_PARSE_UNIT:
        return conf_fail(load, value->line, err,
                         "%s: %s has an unknown unit; units: %s; allowed: %s", at.path, what,
                         conf_units(key->type), buf_str(&range));
    case CONF_PARSE_ZERO:
        return conf_fail(load, value->line, err,
                         "%s: %s begins with a zero, which may mean an octal number: leave it away",
                         at.path, what);
    case CONF_PARSE_SYNTAX:
        return conf_fail(load, value->line, err, "%s: %s is not %s; allowed: %s", at.path, what,
                         number_kind(key->type), buf_str(&range));
    default:
        return conf_fail(load, value->line, err, "%s: %s is out of range; allowed: %s", at.path,
                         what, buf_str(&range));
    }
}

static int set_number(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                      const struct conf_key *key, void *base, struct error *err)
{
    struct scalar value = {0};
    int64_t number = 0;
    if (read_scalar(load, at, node, &value, err) ||
        (key->type == CONF_INT && refuse_quotes(load, at, node, &value, "a whole number", err))) {
        return RESULT_ERROR;
    }
    enum conf_parse parse = conf_parse_number(key->type, value.text, &number);
    if (parse == CONF_PARSE_OK && !conf_number_allowed(key, number)) {
        parse = CONF_PARSE_RANGE;
    }
    if (parse != CONF_PARSE_OK) {
        return bad_number(load, at, &value, key, parse, err);
    }
    *(int64_t *)field(key, base) = number;
    return RESULT_DONE;
}

static int set_ratio(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                     const struct conf_key *key, void *base, struct error *err)
{
    struct scalar value = {0};
    double number = 0;
    if (read_scalar(load, at, node, &value, err) ||
        refuse_quotes(load, at, node, &value, "a decimal number", err)) {
        return RESULT_ERROR;
    }
    enum conf_parse parse = conf_parse_ratio(value.text, &number);
    if (parse == CONF_PARSE_OK && !conf_ratio_allowed(key, number)) {
        parse = CONF_PARSE_RANGE;
    }
    if (parse != CONF_PARSE_OK) {
        return bad_number(load, at, &value, key, parse, err);
    }
    *(double *)field(key, base) = number;
    return RESULT_DONE;
}

static size_t count_words(const char *const *words)
{
    size_t n = 0;
    while (words && words[n]) {
        n++;
    }
    return n;
}

/* Finds the index of a word among the key's choices. CONFIG for any other word, with what is
 * allowed. */
static int find_choice(struct conf_load *load, struct conf_place at, const struct scalar *value,
                       const struct conf_key *key, size_t *ret, struct error *err)
{
    size_t n = count_words(key->choices);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(key->choices[i], value->text) == 0) {
            *ret = i;
            return RESULT_DONE;
        }
    }
    for (const char *const *word = key->later; word && *word; word++) {
        if (strcmp(*word, value->text) == 0) {
            return conf_fail(load, value->line, err, "%s: `%s` is not in this version", at.path,
                             *word);
        }
    }
    char text[TREE_SHOWN_SIZE + 2];
    CLEANUP(buf_release) struct buf hint = {0};
    suggest_add(&hint, slice_from(value->text), "one of", key->choices, n);
    return conf_fail(load, value->line, err, "%s: %s is not a known value%s", at.path,
                     shown(value, text), buf_str(&hint));
}

static int set_enum(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                    const struct conf_key *key, void *base, struct error *err)
{
    struct scalar value = {0};
    size_t index;
    if (read_scalar(load, at, node, &value, err) ||
        find_choice(load, at, &value, key, &index, err)) {
        return RESULT_ERROR;
    }
    *(int *)field(key, base) = (int)index;
    return RESULT_DONE;
}

/* Refuses an empty item, a word that is not among the choices, and an item that comes twice. The
 * words of a command may be anything. */
static int check_item(struct conf_load *load, struct conf_place at, const struct scalar *value,
                      const struct conf_key *key, const struct conf_list *list, struct error *err)
{
    size_t index;
    if (key->repeats) {
        return RESULT_DONE;
    }
    if (*value->text == '\0') {
        return conf_fail(load, value->line, err, "%s has an empty item; remove it", at.path);
    }
    if (key->choices && find_choice(load, at, value, key, &index, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], value->text) == 0) {
            char text[TREE_SHOWN_SIZE + 2];
            return conf_fail(load, value->line, err, "%s names %s twice; remove one", at.path,
                             shown(value, text));
        }
    }
    return RESULT_DONE;
}

static int read_list(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                     const struct conf_key *key, struct conf_list *ret, struct error *err)
{
    struct conf_list list = {0};
    if (node->kind != TREE_LIST) {
        return conf_fail(load, node->line, err, "%s must be a list, for example [a, b], but is %s",
                         at.path, kind_name(node));
    }
    if (node->count > TREE_MAX_KEYS) {
        return conf_fail(load, node->line, err, "%s has more than %d items", at.path,
                         TREE_MAX_KEYS);
    }
    list.items = arena_array(load->memory, node->count + 1, sizeof *list.items);
    for (size_t i = 0; i < node->count; i++) {
        struct scalar value = {0};
        if (read_scalar(load, at, node->items[i], &value, err) ||
            check_item(load, at, &value, key, &list, err)) {
            return RESULT_ERROR;
        }
        warn_inline(load, at, node->items[i], false);
        list.items[list.count++] = value.text;
    }
    *ret = list;
    return RESULT_DONE;
}

static int set_lists(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                     const struct conf_key *key, void *base, struct error *err)
{
    const struct tree_node *from = NULL;
    struct conf_lists lists = {0};
    if (conf_expect_map(load, at, node, &from, err)) {
        return RESULT_ERROR;
    }
    size_t count = from ? from->count : 0;
    lists.items = arena_array(load->memory, count + 1, sizeof *lists.items);
    for (; lists.count < count; lists.count++) {
        const struct tree_pair *pair = &from->pairs[lists.count];
        struct conf_named_texts *item = &lists.items[lists.count];
        struct conf_place place = conf_place_child(load, at, pair->key.ptr);
        if (pair->key.len == 0) {
            return conf_fail(load, pair->line, err, "%s has a key without a name", at.path);
        }
        if (read_list(load, place, pair->value, key, &item->texts, err)) {
            return RESULT_ERROR;
        }
        struct slice name = arena_copy(load->memory, pair->key);
        item->name = (char *)(uintptr_t)name.ptr; /* our own copy */
    }
    *(struct conf_lists *)field(key, base) = lists;
    return RESULT_DONE;
}

static int set_map(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                   const struct conf_key *key, void *base, struct error *err)
{
    const struct tree_node *from = NULL;
    struct conf_map map = {0};
    if (conf_expect_map(load, at, node, &from, err)) {
        return RESULT_ERROR;
    }
    size_t count = from ? from->count : 0;
    map.pairs = arena_array(load->memory, count + 1, sizeof *map.pairs);
    for (; map.count < count; map.count++) {
        const struct tree_pair *pair = &from->pairs[map.count];
        struct conf_place place = conf_place_child(load, at, pair->key.ptr);
        struct scalar value = {0};
        if (pair->key.len == 0) {
            return conf_fail(load, pair->line, err, "%s has a key without a name", at.path);
        }
        if (read_scalar(load, place, pair->value, &value, err)) {
            return RESULT_ERROR;
        }
        warn_inline(load, place, pair->value,
                    ends_with(pair->key.ptr, "password") || ends_with(pair->key.ptr, "secret") ||
                        ends_with(pair->key.ptr, "key.pem"));
        struct slice name = arena_copy(load->memory, pair->key);
        map.pairs[map.count].name = (char *)(uintptr_t)name.ptr; /* our own copy */
        map.pairs[map.count].value = value.text;
    }
    *(struct conf_map *)field(key, base) = map;
    return RESULT_DONE;
}

int conf_set(struct conf_load *load, struct conf_place at, const struct tree_node *node,
             const struct conf_key *key, void *base, struct error *err)
{
    switch (key->type) {
    case CONF_STRING:
    case CONF_SECRET:
        return set_text(load, at, node, key, base, err);
    case CONF_BOOL:
        return set_bool(load, at, node, key, base, err);
    case CONF_INT:
    case CONF_DURATION:
    case CONF_SIZE:
        return set_number(load, at, node, key, base, err);
    case CONF_RATIO:
        return set_ratio(load, at, node, key, base, err);
    case CONF_ENUM:
        return set_enum(load, at, node, key, base, err);
    case CONF_LIST:
        return read_list(load, at, node, key, field(key, base), err);
    case CONF_LISTS:
        return set_lists(load, at, node, key, base, err);
    case CONF_MAP:
        return set_map(load, at, node, key, base, err);
    case CONF_NAMED:
    case CONF_GROUP:
    case CONF_GROUPS:
        break;
    }
    return error_set(err, ERROR_FATAL, "config", "bug: key `%s` has no such type", key->name);
}

void conf_set_nothing(const struct conf_key *key, void *base)
{
    static char empty[] = "";
    void *to = field(key, base);
    switch (key->type) {
    case CONF_STRING:
    case CONF_SECRET:
        *(char **)to = empty;
        break;
    case CONF_BOOL:
        *(bool *)to = false;
        break;
    case CONF_INT:
    case CONF_DURATION:
    case CONF_SIZE:
        *(int64_t *)to = 0;
        break;
    case CONF_RATIO:
        *(double *)to = 0;
        break;
    case CONF_ENUM:
        *(int *)to = 0;
        break;
    case CONF_LIST:
        *(struct conf_list *)to = (struct conf_list){0};
        break;
    case CONF_NAMED:
        *(struct conf_named_list *)to = (struct conf_named_list){0};
        break;
    case CONF_MAP:
        *(struct conf_map *)to = (struct conf_map){0};
        break;
    case CONF_LISTS:
        *(struct conf_lists *)to = (struct conf_lists){0};
        break;
    case CONF_GROUPS:
        *(struct conf_groups *)to = (struct conf_groups){0};
        break;
    case CONF_GROUP:
        break;
    }
}
