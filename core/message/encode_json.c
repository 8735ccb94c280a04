/* The format `json`, and the lines of the sinks that write JSON: one event is one line with one
 * JSON object. Everything in it is checked first, because one line that does not parse would stop a
 * consumer of the file or topic. */
#include "message/internal.h"

#include "model/field.h"
#include "value/base64.h"
#include "value/json.h"

/* `prefix` is what stands between the value before and this one: a comma and the member's name.
 * `name` is for the error text. */
static int add_text(struct buf *out, const char *prefix, struct slice value, const char *name,
                    struct error *err)
{
    buf_add_str(out, prefix);
    if (slice_is_null(value)) {
        buf_add_str(out, "null");
    } else if (!encode_json_string(out, value)) {
        return error_set(
            err, ERROR_POISON, "encode",
            "%s is not UTF-8 text, which JSON needs; mend the row, or keep bytes in a bytea column",
            name);
    }
    return RESULT_DONE;
}

static int add_headers(struct buf *out, struct slice headers, struct error *err)
{
    enum json_kind type = JSON_IS_NULL;
    size_t fault = 0;
    buf_add_str(out, ",\"headers\":");
    if (slice_is_null(headers)) {
        buf_add_str(out, "{}");
        return RESULT_DONE;
    }
    if (!json_check(headers, &type, &fault) || type != JSON_IS_OBJECT) {
        return error_set(
            err, ERROR_POISON, "encode",
            "the headers column is not a JSON object (byte %zu); write one such as {\"trace\":\"abc\"}",
            fault);
    }
    encode_json_one_line(out, headers);
    return RESULT_DONE;
}

static int add_json_payload(struct buf *out, struct slice payload, struct error *err)
{
    enum json_kind type;
    size_t fault = 0;
    if (!json_check(payload, &type, &fault)) {
        return error_set(
            err, ERROR_POISON, "encode",
            "the payload is not valid JSON (byte %zu of %zu); mend the row, or relay it with format payload",
            fault, payload.len);
    }
    buf_add_str(out, ",\"payload\":");
    encode_json_one_line(out, payload);
    return RESULT_DONE;
}

static int add_payload(struct buf *out, const struct event *e, struct error *err)
{
    if (slice_is_null(e->payload) || e->payload_kind == PAYLOAD_TEXT) {
        return add_text(out, ",\"payload\":", e->payload, "the payload", err);
    }
    if (e->payload_kind == PAYLOAD_JSON) {
        return add_json_payload(out, e->payload, err);
    }
    buf_add_str(out, ",\"payload_base64\":\"");
    base64_add(out, e->payload);
    buf_add_char(out, '"');
    return RESULT_DONE;
}

static int add_members(struct buf *out, const struct event *e, struct error *err)
{
    char time[CLOCK_RFC3339_SIZE];
    if (add_text(out, "{\"id\":", e->id, "id", err) < 0 ||
        add_text(out, ",\"type\":", e->type, "type", err) < 0 ||
        add_text(out, ",\"aggregatetype\":", e->aggregatetype, "aggregatetype", err) < 0 ||
        add_text(out, ",\"aggregateid\":", e->aggregateid, "aggregateid", err) < 0 ||
        add_text(out, ",\"topic\":", e->topic, "the topic", err) < 0 ||
        add_text(out, ",\"key\":", e->key, "the key", err) < 0 ||
        add_headers(out, e->headers, err) < 0 || add_payload(out, e, err) < 0 ||
        add_text(out, ",\"created_at\":", event_created_at(e, time), "created_at", err) < 0 ||
        add_text(out, ",\"position\":", e->position, "the position", err) < 0) {
        return RESULT_ERROR;
    }
    buf_add_char(out, '}');
    return RESULT_DONE;
}

int encode_json_line(struct buf *out, const struct event *e, struct error *err)
{
    size_t start = out->len;
    buf_reserve(out, e->payload.len + e->headers.len + 512);
    if (add_members(out, e, err) < 0) {
        buf_truncate(out, start);
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

static int json_value(const struct encode_conf *conf, const struct event *e, struct arena *arena,
                      struct buf *out, struct error *err)
{
    (void)conf, (void)arena;
    return encode_json_line(out, e, err);
}

static const char *const keys[] = {FORMAT_CHANGE_KEYS, "flat_prefix", NULL};

const struct format_ops format_json = {.can = FORMAT_OUTBOX | FORMAT_CHANGES,
                                       .keys = keys,
                                       .value = json_value,
                                       .payload_member = "payload",
                                       .shape = flat_shape,
                                       .change_key = flat_key,
                                       .change_value = flat_value};
