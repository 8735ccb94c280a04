/* What is configured is used, or refused: a format, a topic, a key that would mean nothing never
 * starts. */
#include "pipeline/formats.h"

struct route_conf formats_route(const struct conf_pipeline *p, bool changes)
{
    const struct conf_route *r = &p->route;
    return (struct route_conf){
        .topic = changes && !r->topic_given ? NULL : r->topic,
        .key = changes && !r->key_given ? NULL : r->key,
        .partition = r->partition,
        .timestamp = r->timestamp == CONF_TIMESTAMP_NOW ? "now" : "created_at",
        .allow_topics = (const char *const *)r->allow_topics.items,
        .allow_topics_count = r->allow_topics.count,
        .changes = changes,
        .name = p->encode.name && p->encode.name[0] ? p->encode.name : p->name};
}

struct encode_conf formats_encode(const struct conf_pipeline *p)
{
    const struct conf_encode *e = &p->encode;
    return (struct encode_conf){
        .format = (enum encode_format)e->format,
        .headers = (const char *const *)e->headers.items,
        .headers_count = e->headers.count,
        .name = e->name && e->name[0] ? e->name : p->name,
        .source = e->source,
        .decimal = (enum encode_decimal)e->decimal,
        .time = (enum encode_time)e->time,
        .binary = (enum encode_binary)e->binary,
        .interval = (enum encode_interval)e->interval,
        .hstore = (enum encode_hstore)e->hstore,
        .tombstones = e->tombstones,
        .skipped_operations = (const char *const *)e->skipped_operations.items,
        .skipped_operations_count = e->skipped_operations.count,
        .unavailable_placeholder = e->unavailable_placeholder ? e->unavailable_placeholder : "",
        .flat_prefix = e->flat_prefix ? e->flat_prefix : ""};
}

/* Keys that only changes have a use for, although the format would allow them. `name` is also in a
 * CloudEvent's source. */
static const char *only_for_changes(const struct conf_encode *e)
{
    bool cloudevents = e->format == ENCODE_CLOUDEVENTS || e->format == ENCODE_CLOUDEVENTS_JSON;
    if (e->skipped_operations.given) {
        return "skipped_operations";
    }
    if (e->given.unavailable_placeholder) {
        return "unavailable_placeholder";
    }
    if (e->given.flat_prefix) {
        return "flat_prefix";
    }
    return e->given.name && !cloudevents ? "name" : NULL;
}

int formats_check(const struct conf_pipeline *p, bool changes, bool messages, struct error *err)
{
    struct encode_conf encode = formats_encode(p);
    const char *idle = changes ? NULL : only_for_changes(&p->encode);
    bool cloudevents =
        encode.format == ENCODE_CLOUDEVENTS || encode.format == ENCODE_CLOUDEVENTS_JSON;
    if (encode_check(&encode, err) || encode_fits(&encode, changes, err)) {
        return RESULT_ERROR;
    }
    if (idle) {
        return error_set(err, ERROR_CONFIG, "config",
                         "encode.%s is for table changes, and source %s gives outbox events; "
                         "remove it",
                         idle, p->source->name);
    }
    if (cloudevents && !messages) {
        return error_set(err, ERROR_CONFIG, "config",
                         "encode.format: a CloudEvent is a message, and sink %s writes lines of "
                         "its own; write %s, or use a sink with messages",
                         p->sink->name, changes ? "flat or debezium" : "payload");
    }
    return RESULT_DONE;
}
