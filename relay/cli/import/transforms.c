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

/* Adds `key: [a, b]` for a list of the transform. */
static void add_fields(struct import *im, const struct transform *t, const char *option,
                       const char *key, struct buf *yaml)
{
    const char *list = import_take_of(im, t->alias, option);
    CLEANUP(buf_release) struct buf items = {0};
    while (list && *list) {
        size_t skip = strspn(list, " \t\n"), n = strcspn(list + skip, ", \t\n");
        CLEANUP(buf_release) struct buf item = {0};
        buf_add(&item, list + skip, n);
        if (n) {
            buf_add_str(&items, items.len ? ", " : "");
            import_text(im, &items, option, buf_str(&item));
        }
        list += skip + n;
        list += strspn(list, ", \t\n");
    }
    if (items.len) {
        buf_printf(yaml, "%s: [%s], ", key, buf_str(&items));
    }
}

static void add_prefix(struct import *im, const struct transform *t, const char *option,
                       const char *key, struct buf *yaml)
{
    const char *prefix = import_take_of(im, t->alias, option);
    if (prefix && !import_is(prefix, "__")) {
        buf_printf(yaml, "%s: ", key);
        import_literal(yaml, prefix);
        buf_add_str(yaml, ", ");
    }
}

/* What a delete becomes by the options before Debezium 2.5, which still hold while the one of today
 * is not set: without any of them deletes and tombstones are dropped. */
static const char *old_deletes_of(struct import *im, const struct transform *t)
{
    struct import_option *old = import_find_of(im, t->alias, "delete.handling.mode");
    struct import_option *drop = import_find_of(im, t->alias, "drop.tombstones");
    bool passes = drop && import_is(drop->value, "false");
    bool rewrite = old && import_is(old->value, "rewrite");
    bool none = old && import_is(old->value, "none");
    if (passes && (rewrite || none)) {
        import_note(im, DEBEZIUM_MESSAGES, drop, "%s", "no tombstone comes behind a delete");
    }
    return rewrite ? "rewrite" : none || passes ? "tombstone" : "drop";
}

static const char *deletes_of(struct import *im, const struct transform *t)
{
    struct import_option *mode = import_find_of(im, t->alias, "delete.tombstone.handling.mode");
    const char *ours = mode ? mode->value : old_deletes_of(im, t);
    if (mode && (import_is(ours, "rewrite-with-tombstone"))) {
        ours = "rewrite";
        import_note(im, DEBEZIUM_MESSAGES, mode, "%s", "no tombstone comes behind a delete");
    }
    (void)import_take_of(im, t->alias, "delete.tombstone.handling.mode");
    (void)import_take_of(im, t->alias, "delete.handling.mode");
    (void)import_take_of(im, t->alias, "drop.tombstones");
    return import_is(ours, "rewrite") ? "rewrite" : import_is(ours, "drop") ? "drop" : "tombstone";
}

static void unwrap(struct import *im, const struct transform *t)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    if (t->predicate || !im->debezium) {
        leave_out(im, t,
                  t->predicate ? "encode.unwrap is for all messages of a pipeline"
                               : "encode.unwrap is for the format `debezium`");
        return;
    }
    im->unwrapped = true;
    buf_add_char(&yaml, '{');
    add_fields(im, t, "add.fields", "add_fields", &yaml);
    add_prefix(im, t, "add.fields.prefix", "fields_prefix", &yaml);
    add_fields(im, t, "add.headers", "add_headers", &yaml);
    add_prefix(im, t, "add.headers.prefix", "headers_prefix", &yaml);
    buf_printf(&yaml, "deletes: %s}", deletes_of(im, t));
    import_put(im, IMPORT_ENCODE, "unwrap", buf_str(&yaml), t->type->value);
    t->type->taken = true;
    answer_rest(im, t, DEBEZIUM_UNWRAP);
}

/* The member of keys that tells the old topic; NULL: there is none. */
static const char *unique_field(struct import *im, const struct transform *t, bool logical)
{
    const char *unique = import_take_of(im, t->alias, "key.enforce.uniqueness");
    const char *name = import_take_of(im, t->alias, "key.field.name");
    struct import_option *regex = import_find_of(im, t->alias, "key.field.regex");
    if (!logical || import_is(unique, "false")) {
        return NULL;
    }
    if (im->outbox) {
        import_say(im, DEBEZIUM_MESSAGES, "key.enforce.uniqueness=true",
                   "the key of an outbox event stays");
        return NULL;
    }
    if (regex) {
        import_note(im, DEBEZIUM_MESSAGES, regex, "%s",
                    "`route.topic_rewrite.key_field` has the old topic as it is");
    }
    return name && *name ? name : "__dbz__physicalTableIdentifier";
}

/* Writes the rewriting as a template of route.topic, which is easier to read. False: it is none. */
static bool is_template(struct import *im, const char *key_field, const char *regex, const char *to,
                        const char *from)
{
    const struct import_topics topics = {im->prefix, im->tables};
    bool messages = import_find(im, "message.prefix.include.list");
    bool other = import_find(im, "topic.delimiter");
    CLEANUP(buf_release) struct buf topic = {0}, yaml = {0};
    if (im->outbox || im->templated || messages || other || key_field ||
        !import_topic(&topic, &topics, regex, to)) {
        return false;
    }
    buf_printf(&yaml, "\"%s\"", buf_str(&topic));
    import_put(im, IMPORT_ROUTE, "topic", buf_str(&yaml), from);
    im->templated = true;
    return true;
}

static void rewrite_topic(struct import *im, const struct transform *t)
{
    bool logical = strstr(t->type->value, "ByLogicalTableRouter");
    const char *regex = import_take_of(im, t->alias, logical ? "topic.regex" : "regex");
    const char *to = import_take_of(im, t->alias, logical ? "topic.replacement" : "replacement");
    const char *field = unique_field(im, t, logical);
    if (im->rewritten || t->predicate || !regex || !to ||
        (!is_template(im, field, regex, to, t->type->value) &&
         !import_topic_rewrite(im, regex, to, field, t->type->value))) {
        leave_out(im, t,
                  "this rewriting of topics cannot be told: there is one `route.topic_rewrite`, "
                  "for all messages, with a regular expression and a replacement that fits it");
        return;
    }
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
    if (im->unwrapped) {
        leave_out(
            im, t,
            "behind ExtractNewRecordState it drops the deletes: encode.unwrap: {deletes: drop}");
        return;
    }
    bool later = import_has_transform(im, "ExtractNewRecordState"); /* which drops them */
    if (im->debezium && !later && (!tombstones || !import_is(tombstones->value, "false"))) {
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
