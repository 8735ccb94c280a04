/* Builds the tree from the events of libyaml. Any bytes give a tree of limited size or an error
 * with a line, never a crash: the file may be wrong in any way. */
#include "config/yaml_tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <yaml.h>

struct anchor {
    struct anchor *next;
    struct slice name;
    const struct tree_node *node; /* NULL until the node is complete, so that an alias inside its
                                     own anchor is noticed: it would make the tree endless */
};

struct builder {
    yaml_parser_t parser;
    const char *file;
    struct slice input;
    struct arena *memory;
    /* The newest first: a later anchor of the same name replaces an earlier one. */
    struct anchor *anchors;
    struct error *err;
};

/* What the builder needs of a libyaml event. The event itself is deleted at once, so no error path
 * can leak it. */
struct item {
    yaml_event_type_t type;
    int line;
    /* `text`: the value of a scalar. `anchor`: the name of an anchor or alias, null without one. */
    struct slice text, anchor;
    bool quoted, tagged;
};

static int fail(struct builder *b, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int fail(struct builder *b, int line, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return error_set(b->err, ERROR_CONFIG, "config", "%s:%d: %s", b->file, line, text);
}

/* Errs on the safe side: a text with :// or with "password" and = is not shown. */
static bool may_hold_password(struct slice text)
{
    return memmem(text.ptr, text.len, "://", 3) ||
           (memmem(text.ptr, text.len, "password", 8) && memchr(text.ptr, '=', text.len));
}

const char *tree_shown(struct slice text, char out[TREE_SHOWN_SIZE])
{
    enum { DOTS = 3 };
    if (may_hold_password(text)) {
        return strcpy(out, "(not shown: it may hold a password)");
    }
    size_t max = TREE_SHOWN_SIZE - 1 - DOTS;
    size_t n = text.len < max ? text.len : max;
    while (n < text.len && n > 0 && ((unsigned char)text.ptr[n] & 0xC0) == 0x80) {
        n--; /* do not cut a UTF-8 sequence in two */
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        out[i] = c < 0x20 || c == 0x7F || c == '`' ? '?' : text.ptr[i];
    }
    snprintf(out + n, TREE_SHOWN_SIZE - n, "%s", n < text.len ? "..." : "");
    return out;
}

static int line_of(yaml_mark_t mark)
{
    return (int)mark.line + 1;
}

/* The line of a byte. For an encoding error libyaml gives only the byte. */
static int line_of_offset(struct slice input, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < offset && i < input.len; i++) {
        line += input.ptr[i] == '\n';
    }
    return line;
}

/* Whether a line holds ${: within { } and [ ] a brace ends a word, so an unquoted ${NAME} is a
 * frequent cause of "not valid YAML", and the error gives a hint. */
static bool has_bare_variable(struct slice input, int line)
{
    const char *at = input.ptr, *end = input.ptr + input.len;
    while (--line > 0 && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
    }
    if (!at) {
        return false;
    }
    const char *eol = memchr(at, '\n', (size_t)(end - at));
    return memmem(at, (size_t)((eol ? eol : end) - at), "${", 2) != NULL;
}

static int parser_failed(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    const char *problem = p->problem ? p->problem : "cannot be parsed";
    switch (p->error) {
    case YAML_READER_ERROR:
        return fail(b, line_of_offset(b->input, p->problem_offset),
                    "not readable as UTF-8 text: %s; save the file as UTF-8", problem);
    case YAML_MEMORY_ERROR:
        return fail(b, 1, "out of memory while parsing");
    default:
        break;
    }
    return fail(b, line_of(p->problem_mark), "not valid YAML: %s%s%s (column %zu)%s", problem,
                p->context ? " " : "", p->context ? p->context : "", p->problem_mark.column + 1,
                has_bare_variable(b->input, line_of(p->problem_mark))
                    ? "; inside { } or [ ] write a variable in quotes: \"${NAME}\""
                    : "");
}

static struct slice copy_text(struct builder *b, const yaml_char_t *text)
{
    return text ? arena_copy(b->memory, slice_from((const char *)text)) : SLICE_NULL;
}

static void take_event(struct builder *b, const yaml_event_t *e, struct item *ret)
{
    *ret = (struct item){.type = e->type, .line = line_of(e->start_mark)};
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        ret->text = arena_copy(
            b->memory, (struct slice){(const char *)e->data.scalar.value, e->data.scalar.length});
        ret->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        ret->anchor = copy_text(b, e->data.scalar.anchor);
        ret->tagged = e->data.scalar.tag != NULL;
        break;
    case YAML_SEQUENCE_START_EVENT:
        ret->anchor = copy_text(b, e->data.sequence_start.anchor);
        ret->tagged = e->data.sequence_start.tag != NULL;
        break;
    case YAML_MAPPING_START_EVENT:
        ret->anchor = copy_text(b, e->data.mapping_start.anchor);
        ret->tagged = e->data.mapping_start.tag != NULL;
        break;
    case YAML_ALIAS_EVENT:
        ret->anchor = copy_text(b, e->data.alias.anchor);
        break;
    default:
        break;
    }
}

/* The next event. Refuses tags and NULs: texts are C strings later. */
static int next(struct builder *b, struct item *ret)
{
    yaml_event_t event;
    if (!yaml_parser_parse(&b->parser, &event)) {
        return parser_failed(b);
    }
    take_event(b, &event, ret);
    yaml_event_delete(&event);
    if (ret->tagged) {
        return fail(b, ret->line, "a tag (!...) has no meaning here; remove it");
    }
    if (ret->text.ptr && memchr(ret->text.ptr, '\0', ret->text.len)) {
        return fail(b, ret->line,
                    "a NUL character cannot be part of a name or value; remove the \\0");
    }
    return RESULT_DONE;
}

/* Makes room for one more element behind `count`. The array is full when count is 0 or a power of
 * two from 4 on; then it is copied to one of twice the size. The old one stays in the arena. */
static void *grown(struct arena *memory, void *old, size_t count, size_t size)
{
    if (count != 0 && (count < 4 || (count & (count - 1)) != 0)) {
        return old;
    }
    void *larger = arena_array(memory, count < 4 ? 4 : count * 2, size);
    if (count) {
        memcpy(larger, old, count * size);
    }
    return larger;
}

/* Counts the nodes of the child, an alias like a copy, and refuses too many: see yaml_tree.h. */
static int add_weight(struct builder *b, struct tree_node *node, const struct tree_node *child)
{
    node->weight += child->weight;
    if (node->weight > TREE_MAX_NODES) {
        return fail(b, child->line,
                    "holds more than %d values with its aliases unfolded; make it smaller",
                    TREE_MAX_NODES);
    }
    return RESULT_DONE;
}

static int build(struct builder *b, const struct item *at, int depth, const struct tree_node **ret);

static int build_list(struct builder *b, struct tree_node *node, int depth)
{
    for (;;) {
        struct item at = {0};
        const struct tree_node *child;
        if (next(b, &at)) {
            return RESULT_ERROR;
        }
        if (at.type == YAML_SEQUENCE_END_EVENT) {
            return RESULT_DONE;
        }
        if (build(b, &at, depth, &child) || add_weight(b, node, child)) {
            return RESULT_ERROR;
        }
        node->items = grown(b->memory, node->items, node->count, sizeof *node->items);
        node->items[node->count++] = child;
    }
}

static int check_map_key(struct builder *b, const struct tree_node *map, const struct item *key)
{
    char shown[TREE_SHOWN_SIZE];
    if (key->type != YAML_SCALAR_EVENT) {
        return fail(b, key->line, "a key must be a plain name, not a list, map or alias");
    }
    if (!key->quoted && slice_equal_str(key->text, "<<")) {
        return fail(b, key->line,
                    "merge keys (<<) are not supported; use an alias for the whole map");
    }
    const struct tree_pair *twin = tree_find(map, key->text.ptr);
    if (twin) {
        return fail(b, key->line, "key `%s` is given twice, first in line %d; remove one",
                    tree_shown(key->text, shown), twin->line);
    }
    if (map->count == TREE_MAX_KEYS) {
        return fail(b, key->line, "a map with more than %d keys; make it smaller", TREE_MAX_KEYS);
    }
    return RESULT_DONE;
}

static int build_map(struct builder *b, struct tree_node *node, int depth)
{
    for (;;) {
        struct item key = {0}, at = {0};
        const struct tree_node *child;
        if (next(b, &key)) {
            return RESULT_ERROR;
        }
        if (key.type == YAML_MAPPING_END_EVENT) {
            return RESULT_DONE;
        }
        if (check_map_key(b, node, &key) || next(b, &at) || build(b, &at, depth, &child) ||
            add_weight(b, node, child)) {
            return RESULT_ERROR;
        }
        node->pairs = grown(b->memory, node->pairs, node->count, sizeof *node->pairs);
        node->pairs[node->count++] = (struct tree_pair){key.text, key.line, child};
    }
}

static int build_alias(struct builder *b, const struct item *at, const struct tree_node **ret)
{
    char shown[TREE_SHOWN_SIZE];
    for (const struct anchor *a = b->anchors; a; a = a->next) {
        if (slice_equal(a->name, at->anchor)) {
            if (!a->node) {
                return fail(b, at->line, "alias `%s` stands inside its own anchor",
                            tree_shown(at->anchor, shown));
            }
            *ret = a->node;
            return RESULT_DONE;
        }
    }
    return fail(b, at->line, "alias `%s` has no anchor before it", tree_shown(at->anchor, shown));
}

static struct anchor *add_anchor(struct builder *b, const struct item *at)
{
    struct anchor *a = arena_array(b->memory, 1, sizeof *a);
    *a = (struct anchor){b->anchors, at->anchor, NULL};
    b->anchors = a;
    return a;
}

static int build(struct builder *b, const struct item *at, int depth, const struct tree_node **ret)
{
    if (at->type == YAML_ALIAS_EVENT) {
        return build_alias(b, at, ret);
    }
    if (depth >= TREE_MAX_DEPTH) {
        return fail(b, at->line, "nested deeper than %d levels", TREE_MAX_DEPTH);
    }
    struct anchor *anchor = slice_is_null(at->anchor) ? NULL : add_anchor(b, at);
    struct tree_node *node = arena_array(b->memory, 1, sizeof *node);
    node->line = at->line;
    node->weight = 1;
    if (at->type == YAML_SEQUENCE_START_EVENT) {
        node->kind = TREE_LIST;
        if (build_list(b, node, depth + 1)) {
            return RESULT_ERROR;
        }
    } else if (at->type == YAML_MAPPING_START_EVENT) {
        node->kind = TREE_MAP;
        if (build_map(b, node, depth + 1)) {
            return RESULT_ERROR;
        }
    } else {
        node->kind = TREE_SCALAR;
        node->text = at->text;
        node->quoted = at->quoted;
    }
    if (anchor) {
        anchor->node = node;
    }
    *ret = node;
    return RESULT_DONE;
}

static int build_document(struct builder *b, const struct tree_node **ret)
{
    struct item at = {0};
    const struct tree_node *root = NULL;
    if (next(b, &at) || next(b, &at)) { /* first the start of the stream, then the start of a
                                           document or the end of the stream */
        return RESULT_ERROR;
    }
    if (at.type == YAML_DOCUMENT_START_EVENT) {
        if (next(b, &at) || build(b, &at, 0, &root) || next(b, &at) || next(b, &at)) {
            return RESULT_ERROR;
        }
        if (at.type != YAML_STREAM_END_EVENT) {
            return fail(b, at.line, "a second document (---); a configuration is one document");
        }
    }
    *ret = root;
    return RESULT_DONE;
}

int tree_parse(const char *file, struct slice text, struct arena *memory,
               const struct tree_node **ret, struct error *err)
{
    struct builder b = {.file = file, .input = text, .memory = memory, .err = err};
    if (text.len > TREE_MAX_BYTES) {
        return fail(&b, 1, "larger than %d MiB; this is not a configuration file",
                    TREE_MAX_BYTES >> 20);
    }
    if (!yaml_parser_initialize(&b.parser)) {
        return fail(&b, 1, "out of memory while parsing");
    }
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)(text.ptr ? text.ptr : ""),
                                 text.len);
    int result = build_document(&b, ret);
    yaml_parser_delete(&b.parser);
    return result;
}

const struct tree_pair *tree_find(const struct tree_node *map, const char *key)
{
    if (!map || map->kind != TREE_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (slice_equal_str(map->pairs[i].key, key)) {
            return &map->pairs[i];
        }
    }
    return NULL;
}

bool tree_is_null(const struct tree_node *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (node->kind != TREE_SCALAR || node->quoted) {
        return false;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (slice_equal_str(node->text, words[i])) {
            return true;
        }
    }
    return false;
}
