/* Makes the headers and the value of a message. Every message carries the event id in a header,
 * whatever else is configured, so that consumers can recognise an event that is sent again. */
#include "message/internal.h"

#include "model/field.h"
#include "value/json.h"
#include <assert.h>

/* The most headers that one event may take from its headers column. It bounds struct headers. */
enum { MEMBERS_MAX = 1000 };

struct headers {
    struct header items[ENCODE_HEADER_MAX + 1 + FORMAT_HEADERS_MAX + MEMBERS_MAX];
    size_t count;
    size_t own; /* so many at the front do not come from the column */
};
static_assert(sizeof((struct headers){0}.items) / sizeof(struct header) <= UINT16_MAX,
              "event.out_headers_count can count them");

/* Checks only that all characters are ones that RFC 3986 allows, not the structure of the URI. */
static bool is_uri_reference(const char *text)
{
    static const char others[] = "-._~:/?#[]@!$&'()*+,;=%";
    for (const char *p = text; *p; p++) {
        bool plain =
            (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        if (!plain && !strchr(others, *p)) {
            return false;
        }
    }
    return true;
}

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.$"

static int no_field(const char *name, struct error *err)
{
    CLEANUP(buf_release) struct buf fields = {0};
    encode_add_words(&fields, event_own_fields, FIELD_OWN_COUNT, "and");
    return error_set(err, ERROR_CONFIG, "encode",
                     "encode.headers: \"%s\" is no event field; there are %s", name,
                     buf_str(&fields));
}

int encode_check(const struct encode_conf *conf, struct error *err)
{
    if (conf->source && !is_uri_reference(conf->source)) {
        return error_set(
            err, ERROR_CONFIG, "encode",
            "encode.source is no URI reference; write one such as /shop/orders or https://shop.example/orders, with other characters as %%XX");
    }
    const char *prefix = conf->flat_prefix ? conf->flat_prefix : "";
    if (prefix[strspn(prefix, NAME_CHARACTERS)]) {
        return error_set(
            err, ERROR_CONFIG, "encode",
            "encode.flat_prefix \"%s\" has a character that is no letter, digit, `_`, `-`, `.` or `$`; take another prefix",
            prefix);
    }
    for (size_t i = 0; i < conf->headers_count; i++) {
        if (event_field_from(conf->headers[i]) >= FIELD_OWN_COUNT) {
            return no_field(conf->headers[i], err);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(conf->headers[k], conf->headers[i]) == 0) {
                return error_set(err, ERROR_CONFIG, "encode",
                                 "encode.headers: \"%s\" is listed twice; list each field once",
                                 conf->headers[i]);
            }
        }
    }
    return conf->format && conf->format->check ? conf->format->check(conf, err) : RESULT_DONE;
}

static void add(struct headers *h, struct slice name, struct slice value)
{
    h->items[h->count++] = (struct header){name, value};
}

/* The headers that the format adds itself. */
static int add_of_format(struct headers *h, const struct encode_conf *conf, const struct event *e,
                         struct arena *arena, struct error *err)
{
    size_t n = 0;
    if (conf->format->headers &&
        conf->format->headers(conf, e, arena, &h->items[h->count], &n, err) < 0) {
        return RESULT_ERROR;
    }
    h->count += n;
    return RESULT_DONE;
}

/* The headers that come before those of the column. */
static int add_own(struct headers *h, const struct encode_conf *conf, const struct event *e,
                   struct arena *arena, struct error *err)
{
    bool has_id = false;
    for (size_t i = 0; i < conf->headers_count; i++) {
        struct slice name = slice_from(conf->headers[i]);
        has_id = has_id || name.len == sizeof "id" - 1;
        add(h, name, event_own_field(e, name.len, arena));
    }
    if (!has_id) {
        add(h, SLICE_LITERAL("id"), e->id);
    }
    if (add_of_format(h, conf, e, arena, err) < 0) {
        return RESULT_ERROR;
    }
    h->own = h->count;
    return RESULT_DONE;
}

/* Decodes the inside of a JSON string into the arena. False for what a header should not hold:
 * U+0000 or half a surrogate pair. */
static bool text_of(struct slice raw, bool escaped, struct arena *arena, struct slice *ret)
{
    *ret = raw;
    if (!escaped) {
        return true;
    }
    char *text = arena_bytes(arena, raw.len);
    ret->ptr = text;
    return json_unescape(raw, text, &ret->len);
}

static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

/* Whether a header before those of the column has this name. Members of the column are not compared
 * with each other, so a name that comes twice there gives two headers. */
static bool name_taken(const struct headers *h, struct slice name)
{
    for (size_t i = 0; i < h->own; i++) {
        if (slice_equal(h->items[i].name, name)) {
            return true;
        }
    }
    return false;
}

static int add_member(struct headers *h, const struct json_member *m, struct arena *arena,
                      struct error *err)
{
    struct slice name, value = SLICE_NULL;
    if (h->count - h->own == MEMBERS_MAX) {
        return error_set(err, ERROR_POISON, "encode",
                         "the headers column has more than %d members; put them into the payload",
                         MEMBERS_MAX);
    }
    if (!text_of(m->name, m->name_escaped, arena, &name) || has_control(name)) {
        return error_set(
            err, ERROR_POISON, "encode",
            "the headers column has a name with a control character or half a surrogate pair; rename it");
    }
    if (m->type != JSON_IS_NULL && !text_of(m->value, m->value_escaped, arena, &value)) {
        return error_set(
            err, ERROR_POISON, "encode",
            "the headers column holds \\u0000 or half a surrogate pair in \"%.*s\"; mend the value",
            SLICE_FMT(name));
    }
    if (!name_taken(h, name)) {
        add(h, name, value);
    }
    return RESULT_DONE;
}

int encode_headers_refused(const struct json_members *at, struct error *err)
{
    return error_set(
        err, ERROR_POISON, "encode",
        "the headers column is not a JSON object (byte %zu); write one such as {\"trace\":\"abc\"}",
        json_members_offset(at));
}

static int add_members(struct headers *h, struct slice column, struct arena *arena,
                       struct error *err)
{
    struct json_members members = json_members(column);
    struct json_member m;
    enum json_step step;
    while ((step = json_members_next(&members, &m)) == JSON_MEMBER) {
        if (add_member(h, &m, arena, err) < 0) {
            return RESULT_ERROR;
        }
    }
    if (step == JSON_FAULT) {
        return encode_headers_refused(&members, err);
    }
    return RESULT_DONE;
}

static int set_value(const struct encode_conf *conf, struct event *e, struct arena *arena,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    bool null = conf->blank_is_null && encode_is_blank(e->payload);
    bool expand = conf->expand_json && !conf->envelope && !null && !slice_is_null(e->payload);
    e->value = null ? SLICE_NULL : e->payload;
    if (!conf->format->value && !expand) {
        return RESULT_DONE;
    }
    if (expand ? dbz_expand_payload(e, &text, err)
               : conf->format->value(conf, e, arena, &text, err)) {
        return RESULT_ERROR;
    }
    e->value = arena_copy(arena, buf_slice(&text));
    return RESULT_DONE;
}

int encode_message(const struct encode_conf *conf, struct event *e, struct arena *arena,
                   struct error *err)
{
    /* Not initialized as a whole: it is large, and only the first `count` items are ever read. */
    struct headers h;
    h.count = 0;
    if (slice_is_null(e->id)) {
        return error_set(
            err, ERROR_POISON, "encode",
            "the event has no id, and no message goes out without one; fill the id column");
    }
    assert(conf->headers_count <= ENCODE_HEADER_MAX);
    if (add_own(&h, conf, e, arena, err) < 0 ||
        (!slice_is_null(e->headers) && add_members(&h, e->headers, arena, err) < 0) ||
        set_value(conf, e, arena, err) < 0) {
        return RESULT_ERROR;
    }
    struct header *out = arena_alloc(arena, h.count * sizeof *out);
    memcpy(out, h.items, h.count * sizeof *out);
    e->out_headers = out;
    e->out_headers_count = (uint16_t)h.count; /* bounded by struct headers */
    return RESULT_DONE;
}
