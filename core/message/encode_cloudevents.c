/* The formats `cloudevents` and `cloudevents_json`: CloudEvents 1.0.2 with its Kafka protocol
 * binding (binary mode: attributes are headers, the value is the payload) and its JSON event format
 * (structured mode: one JSON object has all). An event that lacks what the specification requires
 * is poison. */
#include "message/internal.h"

#include "base/utf8.h"
#include "model/field.h"
#include "value/base64.h"
#include "value/json.h"
#include <strings.h>

/* The context attributes, one after the other as they are written. A name has the prefix of binary
 * mode ("ce_id"); structured mode skips the prefix. */
struct attributes {
    struct header items[FORMAT_HEADERS_MAX];
    size_t count;
};

#define PREFIX "ce_"
#define CONTENT_TYPE "content-type"
#define JSON_CONTENT_TYPE "application/cloudevents+json; charset=UTF-8"

static const char *content_type(const struct event *e)
{
    switch (e->payload_kind) {
    case PAYLOAD_JSON:
        return "application/json";
    case PAYLOAD_BYTES:
        return "application/octet-stream";
    case PAYLOAD_TEXT:
        break;
    }
    return "text/plain; charset=UTF-8";
}

/* What the specification calls a String, as far as this file checks it: UTF-8 without control
 * characters (U+0000 to U+001F, U+007F to U+009F). */
static bool is_string(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool c1 = c == 0xc2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || c1) {
            return false;
        }
    }
    return utf8_valid(s);
}

/* An attribute with an empty value is left out, because the specification has no empty ones among
 * its own. */
static int add(struct attributes *a, const char *name, struct slice value, struct error *err)
{
    if (value.len == 0) {
        return RESULT_DONE;
    }
    if (!is_string(value)) {
        return error_set(
            err, ERROR_POISON, "encode",
            "the CloudEvents attribute %s cannot hold control characters or what is not UTF-8; mend the row, or use another encode.format",
            name + sizeof PREFIX - 1);
    }
    a->items[a->count++] = (struct header){slice_from(name), value};
    return RESULT_DONE;
}

/* a, `between` and b in one text, with a NUL behind it. */
static struct slice join(struct arena *arena, struct slice a, const char *between, struct slice b)
{
    size_t n = strlen(between);
    char *text = arena_bytes(arena, a.len + n + b.len + 1);
    memcpy(text, a.ptr, a.len);
    memcpy(text + a.len, between, n + 1);
    if (b.len > 0) {
        memcpy(text + a.len + n, b.ptr, b.len);
    }
    return (struct slice){text, a.len + n + b.len};
}

static struct slice source_of(const struct encode_conf *conf, struct arena *arena)
{
    if (conf->source && conf->source[0]) {
        return slice_from(conf->source);
    }
    return join(arena, SLICE_LITERAL("/commitrelay"), "/",
                slice_from(conf->name ? conf->name : ""));
}

static struct slice type_of(const struct event *e, struct arena *arena)
{
    return e->of_change ? join(arena, SLICE_LITERAL("commitrelay.change"), ".", e->type) : e->type;
}

/* What the event is about: for an outbox event the aggregate id; for a change "schema.table/key",
 * or the table alone where it has no key. */
static struct slice subject_of(const struct event *e, struct arena *arena)
{
    if (!e->of_change || slice_is_null(e->aggregateid)) {
        return e->of_change ? e->aggregatetype : e->aggregateid;
    }
    return join(arena, e->aggregatetype, "/", e->aggregateid);
}

/* The time as RFC 3339. Null for a time that no clock can hold, such as infinity: event_created_at
 * then gives the source's own text, which is no valid `time`. */
static struct slice time_of(const struct event *e, struct arena *arena)
{
    char text[CLOCK_RFC3339_SIZE];
    struct slice s = event_created_at(e, text);
    return s.ptr == text ? arena_copy(arena, s) : SLICE_NULL;
}

/* All attributes. `id` and `type` are required by the specification, so an event without them is
 * poison. */
static int collect(const struct encode_conf *conf, const struct event *e, struct arena *arena,
                   struct attributes *a, struct error *err)
{
    a->count = 0;
    if (e->type.len == 0) {
        return error_set(err, ERROR_POISON, "encode",
                         "the event has no type, and a CloudEvent needs one; fill the type column");
    }
    if (e->id.len == 0) {
        return error_set(err, ERROR_POISON, "encode",
                         "the event's id is empty, and a CloudEvent needs one; fill the id column");
    }
    if (add(a, PREFIX "specversion", SLICE_LITERAL("1.0"), err) < 0 ||
        add(a, PREFIX "id", e->id, err) < 0 ||
        add(a, PREFIX "source", source_of(conf, arena), err) < 0 ||
        add(a, PREFIX "type", type_of(e, arena), err) < 0 ||
        add(a, PREFIX "time", time_of(e, arena), err) < 0 ||
        add(a, PREFIX "subject", subject_of(e, arena), err) < 0 ||
        add(a, PREFIX "aggregatetype", e->aggregatetype, err) < 0) {
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

/* Binary mode: the attributes, and content-type for the payload. A null payload has none. */
static int attribute_headers(const struct encode_conf *conf, const struct event *e,
                             struct arena *arena, struct header *out, size_t *ret_count,
                             struct error *err)
{
    struct attributes a;
    if (collect(conf, e, arena, &a, err) < 0) {
        return RESULT_ERROR;
    }
    memcpy(out, a.items, a.count * sizeof *out);
    if (!slice_is_null(e->payload)) {
        out[a.count++] = (struct header){SLICE_LITERAL(CONTENT_TYPE), slice_from(content_type(e))};
    }
    *ret_count = a.count;
    return RESULT_DONE;
}

/* Structured mode: the payload as the member `data`, or `data_base64` for bytes. */
static int add_data(struct buf *out, const struct event *e, struct error *err)
{
    enum json_kind kind = JSON_IS_NULL;
    size_t fault = 0;
    buf_printf(out, ",\"datacontenttype\":\"%s\",", content_type(e));
    if (e->payload_kind == PAYLOAD_BYTES) {
        buf_add_str(out, "\"data_base64\":\"");
        base64_add(out, e->payload);
        buf_add_char(out, '"');
        return RESULT_DONE;
    }
    buf_add_str(out, "\"data\":");
    if (e->payload_kind == PAYLOAD_TEXT) {
        return encode_json_string(out, e->payload)
                   ? RESULT_DONE
                   : error_set(
                         err, ERROR_POISON, "encode",
                         "the payload is not UTF-8 text, which JSON needs; mend the row, or keep bytes in a bytea column");
    }
    if (!json_check(e->payload, &kind, &fault)) {
        return error_set(
            err, ERROR_POISON, "encode",
            "the payload is not valid JSON (byte %zu of %zu); mend the row, or relay it with format cloudevents",
            fault, e->payload.len);
    }
    buf_add_slice(out, e->payload);
    return RESULT_DONE;
}

/* Structured mode has one header, which says that the value is a whole CloudEvent. */
static int type_header(const struct encode_conf *conf, const struct event *e, struct arena *arena,
                       struct header *out, size_t *ret_count, struct error *err)
{
    (void)conf, (void)e, (void)arena, (void)err;
    *out = (struct header){SLICE_LITERAL(CONTENT_TYPE), SLICE_LITERAL(JSON_CONTENT_TYPE)};
    *ret_count = 1;
    return RESULT_DONE;
}

/* Any ce_ header would look like an attribute, so none may be configured. */
static bool own_header(const char *name)
{
    return strncmp(name, PREFIX, sizeof PREFIX - 1) == 0 || strcasecmp(name, CONTENT_TYPE) == 0;
}

static int structured_value(const struct encode_conf *conf, const struct event *e,
                            struct arena *arena, struct buf *out, struct error *err)
{
    struct attributes a;
    if (collect(conf, e, arena, &a, err) < 0) {
        return RESULT_ERROR;
    }
    buf_reserve(out, e->payload.len + 512);
    for (size_t i = 0; i < a.count; i++) {
        buf_printf(out, "%s\"%s\":", i == 0 ? "{" : ",", a.items[i].name.ptr + sizeof PREFIX - 1);
        (void)encode_json_string(out, a.items[i].value); /* cannot fail: is_string has checked it */
    }
    if (!slice_is_null(e->payload) && add_data(out, e, err) < 0) {
        return RESULT_ERROR;
    }
    buf_add_char(out, '}');
    return RESULT_DONE;
}

/* `name` counts for outbox events too, because the default of the attribute `source` holds it. */
static const char *const keys[] = {FORMAT_CHANGE_KEYS, "flat_prefix", "source", NULL};
static const char *const outbox_keys[] = {"name", "source", NULL};

#define CLOUDEVENT                                                                   \
    .can = FORMAT_OUTBOX | FORMAT_CHANGES, .keys = keys, .outbox_keys = outbox_keys, \
    .message_only = "a CloudEvent", .own_header = own_header, .shape = flat_shape,   \
    .change_key = flat_key, .change_value = flat_value

const struct format_ops format_cloudevents = {CLOUDEVENT, .headers = attribute_headers};

const struct format_ops format_cloudevents_json = {
    CLOUDEVENT, .headers = type_header, .value = structured_value, .payload_member = "data"};
