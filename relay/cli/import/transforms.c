/* The chain of transforms: each is translated, or noted under the name of its class. */
#include "cli/import/internal.h"

/* The transform that is looked at. */
struct transform {
    char *alias;
    struct import_option *type;
    struct import_option *predicate; /* that limits it to some messages; NULL: all */
    const struct debezium_option *row;
};

/* Takes what is left of its options: with the transform they are answered, too. */
static void take_rest(struct import *im, const struct transform *t)
{
    CLEANUP(buf_release) struct buf prefix = {0};
    buf_printf(&prefix, "transforms.%s.", t->alias);
    for (size_t i = 0; i < im->options->count; i++) {
        struct import_option *o = &im->options->items[i];
        o->taken |= strncmp(o->name, buf_str(&prefix), prefix.len) == 0;
    }
}

/* Answers those options of a translated transform that the table knows, and takes the others. */
static void answer_rest(struct import *im, const struct transform *t, enum debezium_where where)
{
    CLEANUP(buf_release) struct buf prefix = {0};
    buf_printf(&prefix, "transforms.%s.", t->alias);
    for (size_t i = 0; i < im->options->count; i++) {
        struct import_option *o = &im->options->items[i];
        if (o->taken || strncmp(o->name, buf_str(&prefix), prefix.len) != 0) {
            continue;
        }
        const struct debezium_option *row =
            debezium_option_find(where, slice_from(o->name + prefix.len));
        o->hidden = row && strchr(row->name, '*');
        if (!row) {
            import_unknown(im, o);
        } else if (row->fallback && import_is(o->value, row->fallback)) {
            import_note(im, DEBEZIUM_NOTHING, o, "%s", "");
        } else {
            import_note(im, row->effect == DEBEZIUM_CODE ? DEBEZIUM_NOTHING : row->effect, o, "%s",
                        row->text);
        }
    }
}

static void leave_out(struct import *im, const struct transform *t, const char *why)
{
    bool nothing = t->row->effect == DEBEZIUM_NOTHING;
    import_note(im, nothing ? DEBEZIUM_NOTHING : DEBEZIUM_MESSAGES, t->type, "%s", why);
    take_rest(im, t);
}

static void unwrap(struct import *im, const struct transform *t)
{
    struct import_option *prefix = import_find_of(im, t->alias, "add.fields.prefix");
    if (prefix && *prefix->value && !import_is(prefix->value, "__")) {
        import_put_text(im, IMPORT_ENCODE, "flat_prefix", "add.fields.prefix", prefix->value);
        prefix->taken = true;
    }
    import_note(im, DEBEZIUM_MESSAGES, t->type, "%s", t->row->text);
    answer_rest(im, t, DEBEZIUM_UNWRAP);
}

static void rewrite_topic(struct import *im, const struct transform *t)
{
    bool logical = strstr(t->type->value, "ByLogicalTableRouter");
    const char *regex = import_take_of(im, t->alias, logical ? "topic.regex" : "regex");
    const char *to = import_take_of(im, t->alias, logical ? "topic.replacement" : "replacement");
    struct import_option *unique = import_find_of(im, t->alias, "key.enforce.uniqueness");
    bool messages = import_find(im, "message.prefix.include.list");
    const struct import_topics topics = {im->prefix, im->tables};
    CLEANUP(buf_release) struct buf topic = {0};
    bool other = import_find(im, "topic.delimiter");
    if (im->outbox || t->predicate || messages || other || !regex || !to ||
        !import_topic(&topic, &topics, regex, to)) {
        leave_out(im, t,
                  "this rewriting of topics is not supported yet; write route.topic, a template "
                  "of {name}, {schema}, {table} and columns");
        return;
    }
    if (logical && !import_is(unique ? unique->value : NULL, "false")) {
        import_say(im, DEBEZIUM_MESSAGES, "key.enforce.uniqueness=true",
                   "__dbz__physicalTableIdentifier in keys is not supported yet");
    }
    CLEANUP(buf_release) struct buf yaml = {0};
    buf_printf(&yaml, "\"%s\"", buf_str(&topic));
    import_put(im, IMPORT_ROUTE, "topic", buf_str(&yaml), t->type->value);
    t->type->taken = true;
    answer_rest(im, t, DEBEZIUM_TOPICS);
}

static void insert_header(struct import *im, const struct transform *t)
{
    const char *name = import_take_of(im, t->alias, "header");
    const char *value = import_take_of(im, t->alias, "value.literal");
    CLEANUP(buf_release) struct buf as = {0};
    buf_add_str(&as, " as: ");
    import_text(im, &as, t->type->name, name ? name : "");
    buf_add_char(&as, '}');
    if (!name || !value || t->predicate || import_is(name, "id") ||
        strstr(buf_str(&im->headers), buf_str(&as))) {
        leave_out(im, t,
                  "only `header` and `value.literal` for all messages can be told, and no "
                  "header that is there already");
        return;
    }
    if (!im->headers.len) {
        buf_add_str(&im->headers, "id");
    }
    buf_add_str(&im->headers, ", {value: ");
    import_text(im, &im->headers, t->type->name, value);
    buf_printf(&im->headers, ",%s", buf_str(&as));
    take_rest(im, t);
}

/* A key that is one column: its text, which is what StringConverter writes. */
static void extract_key(struct import *im, const struct transform *t)
{
    const char *field = import_take_of(im, t->alias, "field");
    if (!field || im->outbox || t->predicate || strpbrk(field, "{}.$\"\\\n")) {
        leave_out(im, t, "route.key is a template of columns: write it yourself");
        return;
    }
    CLEANUP(buf_release) struct buf yaml = {0};
    buf_printf(&yaml, "\"{%s}\"", field);
    import_put(im, IMPORT_ROUTE, "key", buf_str(&yaml), t->type->value);
    struct import_option *converter = import_find(im, "key.converter");
    if (!converter || !strstr(converter->value, "StringConverter")) {
        import_note(
            im, DEBEZIUM_MESSAGES, t->type, "%s",
            "the key is the column's text, as StringConverter writes it; other converters write "
            "it otherwise");
    }
    take_rest(im, t);
}

/* Whether the predicate is this class. */
static bool predicate_is(struct import *im, const struct transform *t, const char *class)
{
    CLEANUP(buf_release) struct buf name = {0};
    buf_printf(&name, "predicates.%s.type", t->predicate ? t->predicate->value : "");
    const struct import_option *type = import_find(im, buf_str(&name));
    return type && strstr(type->value, class);
}

static void filter(struct import *im, const struct transform *t)
{
    const char *negate = import_take_of(im, t->alias, "negate");
    if (!predicate_is(im, t, "RecordIsTombstone") || import_is(negate, "true") || im->outbox) {
        leave_out(im, t,
                  "only the predicate RecordIsTombstone can be told; the publication can filter "
                  "rows: FOR TABLE t WHERE (...) (PostgreSQL 15)");
        return;
    }
    struct import_option *tombstones = import_find(im, "tombstones.on.delete");
    if (im->debezium && (!tombstones || !import_is(tombstones->value, "false"))) {
        import_put(im, IMPORT_ENCODE, "tombstones", "false", t->type->value);
    }
    if (tombstones) {
        import_note(im, DEBEZIUM_NOTHING, tombstones, "%s", "");
    }
    take_rest(im, t);
}

static void route_outbox(struct import *im, const struct transform *t)
{
    if (im->routed) {
        leave_out(
            im, t,
            "a second outbox router needs a pipeline of its own, with a slot copy of its own");
        return;
    }
    im->routed = true;
    import_router(im, t->alias);
    t->type->taken = true;
    if (t->predicate) {
        import_note(im, DEBEZIUM_NOTHING, t->predicate, "%s", "");
    }
    answer_rest(im, t, DEBEZIUM_ROUTER);
}

static const struct {
    const char *class;
    void (*translate)(struct import *im, const struct transform *t);
} translated[] = {{"EventRouter", route_outbox},
                  {"ExtractNewRecordState", unwrap},
                  {"ByLogicalTableRouter", rewrite_topic},
                  {"RegexRouter", rewrite_topic},
                  {"InsertHeader", insert_header},
                  {"ExtractField$Key", extract_key},
                  {"transforms.Filter", filter}};

static void transform(struct import *im, const struct transform *t)
{
    if (t->row->effect != DEBEZIUM_CODE) {
        leave_out(im, t, t->row->text);
        return;
    }
    for (size_t i = 0; i < sizeof translated / sizeof *translated; i++) {
        if (strstr(t->type->value, translated[i].class)) {
            translated[i].translate(im, t);
            t->type->taken = true;
            if (t->predicate) {
                t->predicate->taken = true;
            }
            return;
        }
    }
}

static void take_predicates(struct import *im)
{
    for (size_t i = 0; i < im->options->count; i++) {
        struct import_option *o = &im->options->items[i];
        o->taken |= strncmp(o->name, "predicates", strlen("predicates")) == 0;
    }
}

void import_transforms(struct import *im)
{
    const char *list = import_take(im, "transforms");
    while (list && *list) {
        size_t n = strcspn(list, ","), skip = strspn(list, " \t\n");
        size_t len = n > skip ? n - skip : 0;
        while (len && strchr(" \t\n", list[skip + len - 1])) {
            len--;
        }
        struct transform t = {.alias = arena_bytes(im->memory, len + 1)};
        memcpy(t.alias, list + skip, len);
        t.alias[len] = '\0';
        list += n + (list[n] == ',');
        t.type = import_find_of(im, t.alias, "type");
        t.predicate = import_find_of(im, t.alias, "predicate");
        t.row = t.type ? debezium_option_find(DEBEZIUM_TRANSFORM, slice_from(t.type->value)) : NULL;
        if (t.row) {
            transform(im, &t);
        } else if (len) {
            import_say(im, DEBEZIUM_MESSAGES, t.alias, "this transform has no type");
        }
    }
    take_predicates(im);
}
