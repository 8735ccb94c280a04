/* Routes: compiles the templates of topic and key at the start (route_apply.c applies them), and
 * refuses what would make every event poison. */
#include "message/route_parts.h"

#include "message/rewrite.h"
#include "message/topic.h"
#include "model/field.h"

/* The field of a name; a column that is new is added to r->columns. With `rows` the placeholders
 * name columns of the changed row: {id} is the row's column `id`, not the event id. */
static int add_field(struct route *r, const char *name, bool rows)
{
    enum event_field own = event_field_from(name);
    if (!rows && own < FIELD_OWN_COUNT) {
        return (int)own;
    }
    for (size_t i = 0; i < r->columns_count; i++) {
        if (strcmp(name, r->columns[i]) == 0) {
            return COLUMN_FIRST + (int)i;
        }
    }
    r->columns[r->columns_count] = name;
    return COLUMN_FIRST + (int)r->columns_count++;
}

/* Copies literal text up to the next placeholder, with "{{" and "}}" made single. *p and *out move
 * on. */
static int compile_literal(const char **p, char **out, const char *key, struct error *err)
{
    while (**p && (**p != '{' || (*p)[1] == '{')) {
        if (**p == '}' && (*p)[1] != '}') {
            return error_set(
                err, ERROR_CONFIG, "route",
                "route.%s has a \"}\" without a \"{\" before it; write \"}}\" for the character itself",
                key);
        }
        *p += **p == '{' || **p == '}';
        *(*out)++ = *(*p)++;
    }
    return RESULT_DONE;
}

/* Reads the name between "{", where *p stands, and "}". It is NUL-terminated and lies in the
 * route's memory. */
static int compile_name(struct route *r, const char **p, const char *key, const char **ret_name,
                        struct error *err)
{
    const char *first = *p + 1;
    size_t len = strcspn(first, "{}");
    if (first[len] != '}') {
        return error_set(
            err, ERROR_CONFIG, "route",
            "route.%s has a \"{\" without a \"}\" behind it; a placeholder is {column}, and \"{{\" the character itself",
            key);
    }
    if (len == 0) {
        return error_set(err, ERROR_CONFIG, "route",
                         "route.%s has an empty placeholder {}; name a column in it", key);
    }
    *ret_name = arena_copy(&r->memory, (struct slice){first, len}).ptr;
    *p = first + len + 1;
    return RESULT_DONE;
}

/* {name} is known now, so it becomes literal text; all others wait for the event. */
static struct segment placeholder(struct route *r, const char *name, bool rows, bool topic)
{
    if (rows && strcmp(name, "name") == 0) {
        struct slice s = arena_copy(&r->memory, slice_from(r->name ? r->name : ""));
        if (topic) {
            s.len = topic_mend((char *)(uintptr_t)s.ptr, s.len);
        }
        return (struct segment){.field = LITERAL, .text = s};
    }
    bool mended = rows && topic && (strcmp(name, "schema") == 0 || strcmp(name, "table") == 0);
    return (struct segment){.field = add_field(r, name, rows), .mend = mended};
}

/* Takes a template apart. `out` gets all literal text; a template has at most as many segments as
 * characters. */
static int compile(struct route *r, const char *text, const char *key, bool rows,
                   struct template *t, struct error *err)
{
    size_t len = strlen(text);
    bool topic = strcmp(key, "topic") == 0;
    char *out = arena_bytes(&r->memory, len + 1);
    t->segments = arena_array(&r->memory, len + 1, sizeof *t->segments);
    for (const char *p = text; *p;) {
        char *first = out;
        if (compile_literal(&p, &out, key, err) < 0) {
            return RESULT_ERROR;
        }
        if (out > first) {
            t->segments[t->count++] =
                (struct segment){.field = LITERAL, .text = {first, (size_t)(out - first)}};
        }
        if (*p == '{') {
            const char *name = NULL;
            if (compile_name(r, &p, key, &name, err) < 0) {
                return RESULT_ERROR;
            }
            t->segments[t->count] = placeholder(r, name, rows, topic);
            t->placeholders += t->segments[t->count++].field != LITERAL;
        }
    }
    return RESULT_DONE;
}

/* Refuses at the start what would make every event poison. A template without placeholders gives
 * one topic, which is checked here once and for all. */
static int check_topic_template(struct route *r, const char *text, struct error *err)
{
    const struct template *t = &r->topic;
    if (t->count == 0) {
        return error_set(err, ERROR_CONFIG, "route",
                         "route.topic is empty; name a topic or a template");
    }
    for (size_t i = 0; i < t->count; i++) {
        for (size_t k = 0; k < t->segments[i].text.len; k++) {
            if (!topic_char_valid(t->segments[i].text.ptr[k])) {
                return error_set(
                    err, ERROR_CONFIG, "route",
                    "route.topic \"%s\" has a character outside [A-Za-z0-9._-] that is part of no placeholder; no topic can have it",
                    text);
            }
        }
    }
    if (t->placeholders > 0) {
        return RESULT_DONE;
    }
    r->fixed_topic = route_render(t, NULL, &r->memory);
    if (r->rewrite && rewrite_topic(r->rewrite, &r->fixed_topic, &r->memory, err)) {
        err->class = ERROR_CONFIG; /* every event has this topic */
        return RESULT_ERROR;
    }
    return topic_check(r->fixed_topic, r->allow, r->allow_count, ERROR_CONFIG, err);
}

static int compile_partition(struct route *r, const char *name, struct error *err)
{
    r->partition = NO_FIELD;
    if (!name || name[0] == '\0') {
        return RESULT_DONE;
    }
    if (strpbrk(name, "{}")) {
        return error_set(err, ERROR_CONFIG, "route",
                         "route.partition \"%s\" is a template; write the column's bare name",
                         name);
    }
    r->partition = add_field(r, arena_copy(&r->memory, slice_from(name)).ptr, r->changes);
    return RESULT_DONE;
}

static int compile_timestamp(struct route *r, const char *name, struct error *err)
{
    r->timestamp_now = name && strcmp(name, "now") == 0;
    if (name && !r->timestamp_now && strcmp(name, "created_at") != 0) {
        return error_set(err, ERROR_CONFIG, "route",
                         "route.timestamp \"%s\" is unknown; write created_at or now", name);
    }
    return RESULT_DONE;
}

static void add_wanted(struct route *r, const struct route_conf *conf)
{
    r->wanted = arena_array(&r->memory, conf->columns_count + 1, sizeof *r->wanted);
    for (size_t i = 0; i < conf->columns_count; i++) {
        const char *name = arena_copy(&r->memory, slice_from(conf->columns[i])).ptr;
        r->wanted[i] = add_field(r, name, r->changes);
    }
    r->json_from = r->columns_count;
    for (size_t i = 0; i < conf->json_count; i++) {
        r->columns[r->columns_count++] = arena_copy(&r->memory, slice_from(conf->json[i])).ptr;
    }
}

static void copy_patterns(struct route *r, const struct route_conf *conf)
{
    r->allow = arena_array(&r->memory, conf->allow_topics_count + 1, sizeof *r->allow);
    for (size_t i = 0; i < conf->allow_topics_count; i++) {
        r->allow[r->allow_count++] = arena_copy(&r->memory, slice_from(conf->allow_topics[i])).ptr;
    }
}

/* Compiles the defaults that depend on the kind of event. Those of outbox events are the same as
 * for any outbox source, so their placeholders name the event's own columns. */
static int compile_kinds(struct route *r, struct error *err)
{
    if ((r->topic_by_kind &&
         (compile(r, "{name}.message", "topic", true, &r->message_topic, err) < 0 ||
          compile(r, "outbox.event.{aggregatetype}", "topic", false, &r->outbox_topic, err) < 0)) ||
        (r->key_by_kind && compile(r, "{aggregateid}", "key", false, &r->outbox_key, err) < 0)) {
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

/* The topics of events that are about no row: that of transactions is Debezium's. */
static int set_own_topics(struct route *r, const struct route_conf *conf, struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    if (!conf->changes) {
        return RESULT_DONE;
    }
    buf_printf(&text, "%s.transaction", conf->name ? conf->name : "");
    text.len = topic_mend(text.data, text.len);
    r->transaction_topic = arena_copy(&r->memory, buf_slice(&text));
    if (!conf->heartbeat_topic || !conf->heartbeat_topic[0]) {
        return RESULT_DONE;
    }
    r->heartbeat_topic = arena_copy(&r->memory, slice_from(conf->heartbeat_topic));
    return topic_check(r->heartbeat_topic, r->allow, r->allow_count, ERROR_CONFIG, err)
               ? error_prefix(err, "encode.heartbeat_topic")
               : RESULT_DONE;
}

static const char *topic_template(const struct route_conf *conf)
{
    const char *fallback = conf->changes ? "{name}.{schema}.{table}" : "";
    return conf->topic ? conf->topic : fallback;
}

int route_new(const struct route_conf *conf, struct route **ret, struct error *err)
{
    struct arena memory;
    arena_init(&memory);
    struct route *r = arena_array(&memory, 1, sizeof *r);
    r->memory = memory;
    r->last = arena_array(&r->memory, 1, sizeof *r->last);
    r->changes = conf->changes;
    r->name = conf->name ? arena_copy(&r->memory, slice_from(conf->name)).ptr : NULL;
    r->topic_by_kind = conf->changes && !conf->topic;
    r->key_by_kind = conf->changes && !conf->key;
    const char *key = conf->key ? conf->key : "", *topic = topic_template(conf);
    /* A placeholder has at least three characters ("{a}"), so there cannot be more columns.
     * add_field relies on this room. */
    r->columns = arena_array(
        &r->memory, (strlen(topic) + strlen(key)) / 3 + 2 + conf->columns_count + conf->json_count,
        sizeof *r->columns);
    copy_patterns(r, conf);
    if ((conf->rewrite_match && rewrite_new(conf->rewrite_match, conf->rewrite_to,
                                            conf->rewrite_key_field, &r->rewrite, err)) ||
        compile(r, topic, "topic", r->changes, &r->topic, err) < 0 ||
        compile(r, key, "key", r->changes, &r->key, err) < 0 || compile_kinds(r, err) < 0 ||
        check_topic_template(r, topic, err) < 0 || compile_partition(r, conf->partition, err) < 0 ||
        compile_timestamp(r, conf->timestamp, err) < 0 || set_own_topics(r, conf, err) < 0) {
        route_free(r);
        return RESULT_ERROR;
    }
    add_wanted(r, conf);
    *ret = r;
    return RESULT_DONE;
}

void route_free(struct route *r)
{
    if (r) {
        rewrite_free(r->rewrite);
        struct arena memory = r->memory; /* a copy: the route itself lies in this memory */
        arena_release(&memory);
    }
}

size_t route_columns(const struct route *r, const char *const **ret_names)
{
    *ret_names = r->columns;
    return r->columns_count;
}

size_t route_json_count(const struct route *r)
{
    return r->columns_count - r->json_from;
}

const char *route_fixed_topic(const struct route *r)
{
    return r->fixed_topic.ptr;
}

/* The template as a pattern for topic_matches, with * for each placeholder. The literal text of a
 * topic cannot hold * or ? (check_topic_template). */
static const char *topic_pattern(const struct template *t, struct arena *arena)
{
    size_t len = 0;
    for (size_t i = 0; i < t->count; i++) {
        len += t->segments[i].text.len + 1;
    }
    char *text = arena_bytes(arena, len + 1), *p = text;
    for (size_t i = 0; i < t->count; i++) {
        const struct segment *s = &t->segments[i];
        struct slice piece = s->field == LITERAL ? s->text : slice_from("*");
        p = (char *)memcpy(p, piece.ptr, piece.len) + piece.len;
    }
    *p = '\0';
    return text;
}

bool route_may_give(const struct route *r, struct slice topic)
{
    const struct template *const all[] = {&r->topic, &r->message_topic, &r->outbox_topic};
    size_t count = r->topic_by_kind ? sizeof all / sizeof *all : 1;
    bool found = r->rewrite != NULL || /* who knows what it makes */
                 slice_equal(topic, r->transaction_topic) || slice_equal(topic, r->heartbeat_topic);
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < count && !found; i++) {
        found = topic_matches(topic, topic_pattern(all[i], &arena));
    }
    arena_release(&arena);
    return found && topic_allowed(topic, r->allow, r->allow_count);
}
