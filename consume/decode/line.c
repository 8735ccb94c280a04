/* Reads and makes the line of an event. */
#include "consume/decode/line.h"

#include "message/encode.h"
#include "value/base64.h"
#include "value/json.h"

/* --- reading --- */

static bool text_of(const struct json_member *m, struct arena *memory, struct slice *ret)
{
    if (m->type == JSON_IS_NULL) {
        return true;
    }
    if (m->type != JSON_IS_STRING) {
        return false;
    }
    *ret = m->value;
    if (m->value_escaped) {
        size_t n;
        char *plain = arena_bytes(memory, m->value.len + 1);
        if (!json_unescape(m->value, plain, &n)) {
            return false;
        }
        *ret = (struct slice){plain, n};
    }
    return true;
}

/* False: the member is none that it may be. */
static bool take_member(const struct json_member *m, struct arena *memory, struct line_parts *ret)
{
    if (slice_equal_str(m->name, "id")) {
        return text_of(m, memory, &ret->id);
    }
    if (slice_equal_str(m->name, "topic")) {
        return text_of(m, memory, &ret->topic);
    }
    if (slice_equal_str(m->name, "key")) {
        return text_of(m, memory, &ret->key);
    }
    if (slice_equal_str(m->name, "position")) {
        return text_of(m, memory, &ret->position);
    }
    bool binary = slice_equal_str(m->name, "payload_base64") && m->type == JSON_IS_STRING;
    if (binary || slice_equal_str(m->name, "payload")) {
        ret->payload_given = true;
        ret->binary = binary;
        ret->payload = json_member_text(m);
    }
    return true;
}

bool line_read(struct slice line, struct arena *memory, struct line_parts *ret,
               const char **ret_fault)
{
    struct json_members walk = json_members(line);
    struct json_member m;
    enum json_step step;
    *ret = (struct line_parts){0};
    while ((step = json_members_next(&walk, &m)) == JSON_MEMBER) {
        if (!take_member(&m, memory, ret)) {
            *ret_fault = "one of id, topic, key and position is not a text";
            return false;
        }
    }
    if (step == JSON_FAULT) {
        *ret_fault = "it is not one JSON object";
        return false;
    }
    return true;
}

/* --- making --- */

/* A member with a text; bytes that are no text go under another name. */
static void add_text(struct buf *out, const char *name, struct slice s)
{
    size_t start = out->len;
    buf_printf(out, "\"%s\":", name);
    if (slice_is_null(s)) {
        buf_add_str(out, "null");
    } else if (!encode_json_string(out, s)) {
        buf_truncate(out, start);
        buf_printf(out, "\"%s_base64\":\"", name);
        base64_add(out, s);
        buf_add_char(out, '"');
    }
}

/* Line ends in JSON stand between tokens, never inside a string. */
static void add_one_line(struct buf *out, struct slice json)
{
    size_t start = out->len;
    buf_add_slice(out, json);
    for (size_t i = start; i < out->len; i++) {
        if (out->data[i] == '\n' || out->data[i] == '\r') {
            out->data[i] = ' ';
        }
    }
}

static void add_payload(struct buf *out, struct slice value)
{
    enum json_kind kind;
    size_t fault;
    if (!slice_is_null(value) && json_check(value, &kind, &fault)) {
        buf_add_str(out, "\"payload\":");
        add_one_line(out, value);
    } else {
        add_text(out, "payload", value);
    }
}

void line_make(struct buf *out, const struct incoming *in, struct slice id, const char *position)
{
    buf_add_char(out, '{');
    add_text(out, "id", id);
    buf_add_char(out, ',');
    add_text(out, "type", in->type);
    buf_add_char(out, ',');
    add_text(out, "topic", in->topic);
    buf_add_char(out, ',');
    add_text(out, "key", in->key);
    buf_add_str(out, ",\"headers\":");
    if (slice_is_null(in->headers)) {
        buf_add_str(out, "{}");
    } else {
        buf_add_slice(out, in->headers);
    }
    buf_add_char(out, ',');
    add_payload(out, in->value);
    buf_add_char(out, ',');
    add_text(out, "position", slice_from(position));
    buf_add_char(out, '}');
}
