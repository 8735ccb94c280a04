/* The object is written and read by our own scanner: a JSON library would change numbers and the
 * order of members in a payload that nobody touched. */
#include "daemon/letter_object.h"

#include "audit/audit.h"
#include "base/utf8.h"
#include "message/encode.h"
#include "message/topic.h"
#include "value/json.h"
#include <string.h>

static bool is_json(struct slice text, enum json_kind *ret_kind)
{
    size_t fault;
    return json_check(text, ret_kind, &fault);
}

int letter_values_check(const struct letter_values *v, struct error *err)
{
    enum json_kind kind;
    if (!slice_is_null(v->topic) && topic_check(v->topic, NULL, 0, ERROR_CONFIG, err)) {
        return RESULT_ERROR;
    }
    if (!slice_is_null(v->headers) && (!is_json(v->headers, &kind) || kind != JSON_IS_OBJECT)) {
        return error_set(err, ERROR_CONFIG, "edit",
                         "the headers are no JSON object; write one such as {\"trace\":\"abc\"}");
    }
    if (v->json && !slice_is_null(v->payload) && !is_json(v->payload, &kind)) {
        return error_set(err, ERROR_CONFIG, "edit",
                         "the payload is no JSON, and this event's payload has to be; mend it");
    }
    return RESULT_DONE;
}

/* --- the object --- */

static void add_text(struct buf *out, struct slice text)
{
    if (slice_is_null(text)) {
        buf_add_str(out, "null");
    } else {
        (void)encode_json_string(out, text); /* the caller has looked that it is UTF-8 */
    }
}

static void add_member(struct buf *out, const char *name, struct slice text, bool as_json)
{
    if (!as_json && !slice_is_null(text) && !utf8_valid(text)) {
        return; /* bytes; --payload-file takes them */
    }
    buf_printf(out, "%s\n  \"%s\": ", out->len > 1 ? "," : "", name);
    if (as_json && !slice_is_null(text)) {
        buf_add_slice(out, text);
    } else {
        add_text(out, text);
    }
}

void letter_object_add(struct buf *out, const struct letter_values *v)
{
    enum json_kind kind;
    buf_add_char(out, '{');
    add_member(out, "topic", v->topic, false);
    add_member(out, "key", v->key, false);
    add_member(out, "headers", v->headers, is_json(v->headers, &kind));
    add_member(out, "payload", v->payload, v->json && is_json(v->payload, &kind));
    buf_add_str(out, "\n}\n");
}

static int take_text(const struct json_member *m, const char *name, struct slice *ret,
                     struct arena *arena, struct error *err)
{
    if (m->type == JSON_IS_NULL) {
        *ret = SLICE_NULL;
        return RESULT_DONE;
    }
    char *text = arena_bytes(arena, m->value.len + 1);
    size_t len = m->value.len;
    memcpy(text, m->value.ptr, len);
    if (m->type != JSON_IS_STRING || (m->value_escaped && !json_unescape(m->value, text, &len))) {
        return error_set(err, ERROR_CONFIG, "edit", "\"%s\" has to be a text or null", name);
    }
    *ret = (struct slice){text, len};
    return RESULT_DONE;
}

/* JSON null is a payload too: an untouched one stays what it was. */
static int take_json(const struct json_member *m, struct slice *ret, struct arena *arena)
{
    if (m->type != JSON_IS_NULL) {
        *ret = arena_copy(arena, json_member_text(m));
    } else if (!slice_equal_str(*ret, "null")) {
        *ret = SLICE_NULL;
    }
    return RESULT_DONE;
}

static int take_member(const struct json_member *m, struct letter_values *v, struct arena *arena,
                       struct error *err)
{
    if (slice_equal_str(m->name, "topic")) {
        return take_text(m, "topic", &v->topic, arena, err);
    }
    if (slice_equal_str(m->name, "key")) {
        return take_text(m, "key", &v->key, arena, err);
    }
    if (slice_equal_str(m->name, "headers")) {
        return take_json(m, &v->headers, arena);
    }
    if (slice_equal_str(m->name, "payload")) {
        return v->json ? take_json(m, &v->payload, arena)
                       : take_text(m, "payload", &v->payload, arena, err);
    }
    return error_set(err, ERROR_CONFIG, "edit",
                     "\"%.*s\" cannot be edited; there are topic, key, headers and payload",
                     SLICE_FMT(m->name));
}

int letter_object_read(struct slice text, struct letter_values *v, struct arena *arena,
                       struct error *err)
{
    struct json_members members = json_members(text);
    struct json_member m;
    enum json_step step;
    while ((step = json_members_next(&members, &m)) == JSON_MEMBER) {
        if (take_member(&m, v, arena, err)) {
            return RESULT_ERROR;
        }
    }
    return step == JSON_END
               ? letter_values_check(v, err)
               : error_set(err, ERROR_CONFIG, "edit", "it is no JSON object (byte %zu)",
                           json_members_offset(&members));
}

struct letter_values letter_values_of(const struct store_dead_letter *d, struct arena *arena)
{
    struct store_dead_letter now = store_letter_as_edited(d);
    return (struct letter_values){.topic = arena_copy(arena, now.topic),
                                  .key = arena_copy(arena, now.key),
                                  .headers = arena_copy(arena, now.headers),
                                  .payload = arena_copy(arena, now.payload),
                                  .json = slice_equal_str(d->payload_kind, "json")};
}

static bool same(struct slice a, struct slice b)
{
    return slice_is_null(a) == slice_is_null(b) && slice_equal(a, b);
}

bool letter_values_same(const struct letter_values *a, const struct letter_values *b)
{
    return same(a->topic, b->topic) && same(a->key, b->key) && same(a->headers, b->headers) &&
           same(a->payload, b->payload);
}

struct store_letter_edit letter_values_difference(const struct store_dead_letter *was,
                                                  const struct letter_values *n)
{
    struct store_letter_edit d = {
        .topic = n->topic, .key = n->key, .headers = n->headers, .payload = n->payload};
    d.fields = (same(n->topic, was->topic) ? 0u : STORE_LETTER_TOPIC) |
               (same(n->key, was->key) ? 0u : STORE_LETTER_KEY) |
               (same(n->headers, was->headers) ? 0u : STORE_LETTER_HEADERS) |
               (same(n->payload, was->payload) ? 0u : STORE_LETTER_PAYLOAD);
    return d;
}

void letter_field_names(struct buf *out, unsigned fields)
{
    static const char *const names[] = {"topic", "key", "headers", "payload"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (fields & 1u << i) {
            buf_printf(out, " %s", names[i]);
        }
    }
}

void letter_edit_facts(struct buf *facts, int64_t letter, unsigned fields, int64_t edits)
{
    CLEANUP(buf_release) struct buf names = {0};
    letter_field_names(&names, fields);
    audit_number(facts, "dead_letter", letter);
    audit_text(facts, "edited", names.len > 0 ? buf_str(&names) + 1 : "");
    audit_number(facts, "edits", edits);
}
