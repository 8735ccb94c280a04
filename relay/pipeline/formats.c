/* Turns the configuration into the settings of route and encode, and refuses at the start what
 * would have no effect. Example: an encode key that only table changes use, with a source that
 * gives outbox events. If it were ignored, its author would believe that it works. */
#include "pipeline/formats.h"

#include "base/memory.h"
#include "config/conf_ask.h"
#include "contract/sink.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* A header's name comes from the configuration file, so a bad one is refused at the start and not
 * at the first event. */
static int check_header(const struct conf_named *h, const struct format_ops *format,
                        struct error *err)
{
    bool of_format = format->own_header && format->own_header(h->as);
    if (strcmp(h->as, "id") == 0 || of_format) {
        return error_set(err, ERROR_CONFIG, "config",
                         "encode.headers: the header %s is the relay's own%s; choose another name",
                         h->as, of_format ? " in this format" : " (the event's id)");
    }
    for (const char *p = h->as; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            return error_set(err, ERROR_CONFIG, "config",
                             "encode.headers: a header's name has a control character; rename it");
        }
    }
    return RESULT_DONE;
}

static int add_headers(const struct conf_pipeline *p, const struct route *r, struct event *e,
                       struct arena *arena, struct error *err)
{
    const struct conf_named_list *list = &p->encode.headers;
    struct header *more = list->count ? arena_array(arena, list->count, sizeof *more) : NULL;
    size_t column = 0, n = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct conf_named *h = &list->items[i];
        if (!h->column) {
            more[n++] = (struct header){slice_from(h->as), slice_from(h->value)};
        } else if (r) {
            more[n++] = (struct header){slice_from(h->as), route_column(r, column++, e, arena)};
        }
    }
    return encode_add_headers(e, more, n, arena, err);
}

static int add_envelope(const struct conf_pipeline *p, const struct route *r, struct event *e,
                        struct arena *arena, struct error *err)
{
    const struct conf_map *map = &p->encode.envelope;
    struct encode_conf encode = formats_encode(p);
    struct header *fields = arena_array(arena, map->count + 1, sizeof *fields);
    for (size_t i = 0; i < map->count; i++) {
        fields[i] = (struct header){slice_from(map->pairs[i].value), route_json(r, i, e)};
    }
    return encode_add_envelope(&encode, e, fields, map->count, arena, err);
}

int formats_add_columns(const struct conf_pipeline *p, const struct route *r, struct event *e,
                        struct arena *arena, struct error *err)
{
    if (add_headers(p, r, e, arena, err)) {
        return RESULT_ERROR;
    }
    return r && p->encode.envelope.count ? add_envelope(p, r, e, arena, err) : RESULT_DONE;
}

struct route_conf formats_route(const struct conf_pipeline *p, bool changes)
{
    const struct conf_route *r = &p->route;
    return (struct route_conf){
        .topic = changes && !r->topic_given ? NULL : r->topic,
        .key = changes && !r->key_given ? NULL : r->key,
        .rewrite_match =
            r->topic_rewrite.match && r->topic_rewrite.match[0] ? r->topic_rewrite.match : NULL,
        .rewrite_to = r->topic_rewrite.to,
        .rewrite_key_field = r->topic_rewrite.key_field,
        .partition = r->partition,
        .timestamp = r->timestamp == CONF_TIMESTAMP_NOW ? "now" : "created_at",
        .allow_topics = (const char *const *)r->allow_topics.items,
        .allow_topics_count = r->allow_topics.count,
        .changes = changes,
        .heartbeat_topic = p->encode.heartbeat_topic,
        .name = p->encode.name && p->encode.name[0] ? p->encode.name : p->name};
}

/* The columns that become headers, in the order in which formats_add_columns asks for them. */
static size_t columns_of(const struct conf_pipeline *p, const char **ret)
{
    const struct conf_named_list *list = &p->encode.headers;
    size_t n = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].column) {
            ret[n++] = list->items[i].column;
        }
    }
    return n;
}

int formats_route_new(const struct conf_pipeline *p, bool changes, struct route **ret,
                      struct error *err)
{
    struct route_conf conf = formats_route(p, changes);
    const char **columns = memory_need(calloc(p->encode.headers.count + 1, sizeof *columns));
    conf.columns_count = columns_of(p, columns);
    conf.columns = columns;
    const char **json = memory_need(calloc(p->encode.envelope.count + 1, sizeof *json));
    for (; conf.json_count < p->encode.envelope.count; conf.json_count++) {
        json[conf.json_count] = p->encode.envelope.pairs[conf.json_count].name;
    }
    conf.json = json;
    int rc = route_new(&conf, ret, err);
    free(columns);
    free(json);
    return rc;
}

struct encode_conf formats_encode(const struct conf_pipeline *p)
{
    const struct conf_encode *e = &p->encode;
    return (struct encode_conf){
        .format = format_at(e->format),
        .headers = (const char *const *)e->headers.words.items,
        .headers_count = e->headers.words.count,
        .name = e->name && e->name[0] ? e->name : p->name,
        .source = e->source,
        .decimal = (enum encode_decimal)e->decimal,
        .time = (enum encode_time)e->time,
        .binary = (enum encode_binary)e->binary,
        .interval = (enum encode_interval)e->interval,
        .hstore = (enum encode_hstore)e->hstore,
        .value = (enum encode_value)e->value,
        .schemas = e->schemas,
        .tombstones = e->tombstones,
        .transaction_metadata = e->transaction_metadata,
        .heartbeat_topic = e->heartbeat_topic,
        .skipped_operations = (const char *const *)e->skipped_operations.items,
        .skipped_operations_count = e->skipped_operations.count,
        .unavailable_placeholder = e->unavailable_placeholder ? e->unavailable_placeholder : "",
        .flat_prefix = e->flat_prefix ? e->flat_prefix : "",
        .expand_json = e->expand_json,
        .blank_is_null = e->blank_is_null,
        .envelope = e->envelope.count > 0,
        .unwrap = {.on = e->given.unwrap,
                   .deletes = (enum unwrap_deletes)e->unwrap.deletes,
                   .fields = (const char *const *)e->unwrap.add_fields.items,
                   .fields_count = e->unwrap.add_fields.count,
                   .headers = (const char *const *)e->unwrap.add_headers.items,
                   .headers_count = e->unwrap.add_headers.count,
                   .fields_prefix = e->unwrap.fields_prefix,
                   .headers_prefix = e->unwrap.headers_prefix}};
}

struct schemas_conf formats_registry(const struct conf_pipeline *p)
{
    const struct conf_registry *r = &p->encode.registry;
    return (struct schemas_conf){.url = r->url,
                                 .username = r->username,
                                 .password = r->password,
                                 .ca_file = r->ca_file,
                                 .connect_timeout_us = r->connect_timeout_us,
                                 .timeout_us = r->timeout_us};
}

/* The name of the source's column that is the event's `field`: it may be mapped to another one. */
static const char *column_for(const struct conf_pipeline *p, const char *field)
{
    char key[32];
    snprintf(key, sizeof key, "columns.%s", field);
    const char *name = conf_ask_text(p->source->keys, p->source_conf, key);
    return name && *name ? name : field;
}

/* Whether the column would be shown past the mask. */
static bool is_covered(const struct conf_pipeline *p, const struct mask *m, bool changes,
                       const char *column)
{
    static const char *const json[] = {"payload", "headers"};
    if (changes) {
        return mask_covers(m, column);
    }
    for (size_t i = 0; i < sizeof json / sizeof *json; i++) {
        if (mask_covers(m, json[i]) &&
            (strcmp(column, json[i]) == 0 || strcmp(column, column_for(p, json[i])) == 0)) {
            return true;
        }
    }
    return false;
}

static_assert((int)MASK_HMAC == CONF_MASK_HMAC && (int)MASK_SHA256 == CONF_MASK_SHA256 &&
                  (int)MASK_HASH_V2 == CONF_MASK_HASH_V2 && (int)MASK_RULES_MAX == CONF_MASK_MAX,
              "the words of the configuration mean what the mask does");

int formats_mask_new(const struct conf_pipeline *p, bool changes, const struct route *r,
                     struct mask **ret, struct error *err)
{
    struct mask_rule *rules = memory_need(calloc(p->mask.count + 1, sizeof *rules));
    struct mask *m = NULL;
    const char *const *columns;
    for (size_t i = 0; i < p->mask.count; i++) {
        const struct conf_mask *from = &p->mask.items[i];
        rules[i] = (struct mask_rule){from->field, (enum mask_how)from->how, slice_from(from->key),
                                      (size_t)from->length, conf_mask_algorithms[from->algorithm]};
    }
    int rc = mask_new(rules, p->mask.count, changes, &m, err);
    free(rules);
    size_t n = rc ? 0 : route_columns(r, &columns);
    for (size_t i = 0; m && i < n; i++) {
        if (is_covered(p, m, changes, columns[i])) {
            mask_free(m);
            return error_set(
                err, ERROR_CONFIG, "config",
                "mask: column %s is masked, but route or encode.headers would show it as it is; take it out there",
                columns[i]);
        }
    }
    *ret = m;
    return rc;
}

int formats_columns_new(const struct conf_pipeline *p, bool changes, struct column_rules **ret,
                        struct error *err)
{
    const struct conf_encode *e = &p->encode;
    *ret = NULL;
    if (!changes) {
        return RESULT_DONE; /* formats_check refuses the keys */
    }
    struct column_key *keys = memory_need(calloc(e->key_columns.count + 1, sizeof *keys));
    for (size_t i = 0; i < e->key_columns.count; i++) {
        const struct conf_named_texts *from = &e->key_columns.items[i];
        keys[i] = (struct column_key){from->name, (const char *const *)from->texts.items,
                                      from->texts.count};
    }
    const struct column_rules_conf conf = {.keys = keys,
                                           .keys_count = e->key_columns.count,
                                           .include = (const char *const *)e->include_columns.items,
                                           .include_count = e->include_columns.count,
                                           .exclude = (const char *const *)e->exclude_columns.items,
                                           .exclude_count = e->exclude_columns.count};
    int rc = column_rules_new(&conf, ret, err);
    free(keys);
    return rc;
}

/* Some formats make a whole message and nothing else. A sink that writes lines of its own cannot
 * use it. */
static int refuse_lines(const struct conf_pipeline *p, const struct format_ops *format,
                        bool changes, struct error *err)
{
    CLEANUP(buf_release) struct buf others = {0};
    unsigned can = changes ? FORMAT_CHANGES : FORMAT_OUTBOX;
    format_list(&others, (struct format_wanted){.can = can, .lines = true}, "or");
    return error_set(
        err, ERROR_CONFIG, "config",
        "encode.format: %s is a message, and sink %s writes lines of its own; write %s, or use a sink with messages",
        format->message_only, p->sink->name, buf_str(&others));
}

/* Only the usual key of a table change is an object that a member can be added to. */
static int check_key_field(const struct conf_pipeline *p, bool changes, struct error *err)
{
    if (!p->route.topic_rewrite.key_field || !p->route.topic_rewrite.key_field[0] ||
        (changes && !p->route.key_given)) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "config",
        "route.topic_rewrite.key_field adds to the row's key of a table change, and %s; remove it",
        changes ? "route.key makes another one" : "outbox events have none");
}

/* The names beside the payload. */
static int check_envelope(const struct conf_pipeline *p, struct error *err)
{
    const struct conf_map *map = &p->encode.envelope;
    for (size_t i = 0; i < map->count; i++) {
        const char *name = map->pairs[i].value;
        bool twice = strcmp(name, "payload") == 0;
        for (size_t k = 0; k < i; k++) {
            twice = twice || strcmp(map->pairs[k].value, name) == 0;
        }
        if (!name[0] || twice) {
            return error_set(
                err, ERROR_CONFIG, "config",
                "encode.envelope: column %s gets the name \"%s\", which %s; choose another one",
                map->pairs[i].name, name, name[0] ? "the value has already" : "is none");
        }
    }
    return RESULT_DONE;
}

/* A line holds the payload as it is. */
static int check_lines(const struct conf_pipeline *p, struct error *err)
{
    if (!p->encode.expand_json && !p->encode.blank_is_null) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "config",
        "encode.%s changes the value of a message, and sink %s writes lines of its own; remove it",
        p->encode.expand_json ? "expand_json" : "blank_is_null", p->sink->name);
}

/* What a schema does not describe yet. */
static int check_described(const struct conf_pipeline *p, const char *value, struct error *err)
{
    const char *field = p->route.topic_rewrite.key_field;
    const char *heartbeat = p->encode.heartbeat_topic;
    const char *other = p->encode.given.unwrap           ? "encode.unwrap"
                        : field && field[0]              ? "route.topic_rewrite.key_field"
                        : p->encode.transaction_metadata ? "encode.transaction_metadata"
                        : heartbeat && heartbeat[0]      ? "encode.heartbeat_topic"
                                                         : NULL;
    if (!other) {
        return RESULT_DONE;
    }
    return error_set(err, ERROR_CONFIG, "config",
                     "%s%s and %s do not go together in this version; remove one of them",
                     p->encode.schemas ? "encode.schemas" : "encode.value: ",
                     p->encode.schemas ? "" : value, other);
}

/* A schema of its own needs a format that has one, a sink that sends any bytes, and a registry. */
static int check_frames(const struct conf_pipeline *p, const struct format_ops *format,
                        unsigned caps, const char *value, struct error *err)
{
    if (!format->schemas) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "encode.value: %s needs a format whose values have a schema: set encode.format to debezium or flat",
            value);
    }
    if (p->encode.schemas) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "encode.schemas has no effect with encode.value: %s, whose schemas are in the registry; remove it",
            value);
    }
    if (!(caps & SINK_FRAMES)) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "encode.value: %s makes keys and values of any bytes, which sink %s does not send; remove it, or send to Kafka",
            value, p->sink->name);
    }
    /* An event that waits for its number may stand in the middle of a transaction. */
    if (caps & SINK_WHOLE) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "encode.value: %s and sink.whole_transactions do not go together in this version; remove one of them",
            value);
    }
    return RESULT_DONE;
}

static int check_value(const struct conf_pipeline *p, const struct format_ops *format,
                       unsigned caps, struct error *err)
{
    static const char *const values[] = {"json", "avro", "json_schema"};
    const char *value = values[p->encode.value];
    bool frames = p->encode.value != VALUE_JSON;
    bool registry = p->encode.registry.url && p->encode.registry.url[0];
    if ((frames && check_frames(p, format, caps, value, err)) ||
        ((frames || p->encode.schemas) && check_described(p, value, err))) {
        return RESULT_ERROR;
    }
    if (frames == registry) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "config",
        frames
            ? "encode.value: %s needs a schema registry; set encode.registry.url, as http://host:8081"
            : "encode.registry does nothing with encode.value: %s; remove it, or set encode.value to avro or json_schema",
        value);
}

int formats_check(const struct conf_pipeline *p, bool changes, unsigned caps, struct error *err)
{
    bool messages = caps & SINK_MESSAGES;
    struct encode_conf encode = formats_encode(p);
    const struct format_ops *format = encode.format;
    const char *unused = changes ? NULL : conf_encode_unused(&p->encode, format->outbox_keys);
    if (encode_check(&encode, err) || encode_fits(&encode, changes, err) ||
        check_key_field(p, changes, err) || check_envelope(p, err) ||
        (!messages && check_lines(p, err))) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < p->encode.headers.count; i++) {
        if (check_header(&p->encode.headers.items[i], format, err)) {
            return RESULT_ERROR;
        }
    }
    if (unused) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "encode.%s is for table changes, and source %s gives outbox events; remove it", unused,
            p->source->name);
    }
    if (format->message_only && !messages) {
        return refuse_lines(p, format, changes, err);
    }
    return check_value(p, format, caps, err);
}
