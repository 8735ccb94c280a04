/* An event becomes a message that carries its id, whatever else is configured. */
#include "message/internal.h"

#include "value/json.h"
#include <assert.h>

enum { MEMBERS_MAX = 1000 };

struct headers {
    struct header items[ENCODE_HEADER_MAX + 1 + CLOUDEVENTS_HEADERS_MAX + MEMBERS_MAX];
    size_t count;
    size_t own; /* the first of them are ours */
};

/* The years that RFC 3339 can write. */
static const int64_t year_0_us = INT64_C(-62167219200) * US_PER_SECOND;
static const int64_t year_10000_us = INT64_C(253402300800) * US_PER_SECOND;

static const char *const header_fields[] = {"id",          "type",    "created_at", "aggregatetype",
                                            "aggregateid", "position"};

static bool header_known(const char *name)
{
    for (size_t i = 0; i < sizeof header_fields / sizeof *header_fields; i++) {
        if (strcmp(name, header_fields[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* RFC 3986, as far as its characters go. */
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

int encode_check(const struct encode_conf *conf, struct error *err)
{
    if (conf->source && !is_uri_reference(conf->source)) {
        return error_set(err, ERROR_CONFIG, "encode",
                         "encode.source is no URI reference; write one such as "
                         "/shop/orders or https://shop.example/orders, with other characters as "
                         "%%XX");
    }
    const char *prefix = conf->flat_prefix ? conf->flat_prefix : "";
    if (prefix[strspn(prefix, NAME_CHARACTERS)]) {
        return error_set(err, ERROR_CONFIG, "encode",
                         "encode.flat_prefix \"%s\" has a character that is no letter, digit, `_`, "
                         "`-`, `.` or `$`; take another prefix",
                         prefix);
    }
    for (size_t i = 0; i < conf->headers_count; i++) {
        if (!header_known(conf->headers[i])) {
            return error_set(
                err, ERROR_CONFIG, "encode",
                "encode.headers: \"%s\" is no event field; there are id, type, created_at, "
                "aggregatetype, aggregateid and position",
                conf->headers[i]);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(conf->headers[k], conf->headers[i]) == 0) {
                return error_set(err, ERROR_CONFIG, "encode",
                                 "encode.headers: \"%s\" is listed twice; list each field once",
                                 conf->headers[i]);
            }
        }
    }
    return RESULT_DONE;
}

struct slice encode_created_at(const struct event *e, char buf[CLOCK_RFC3339_SIZE])
{
    bool writable = e->created_at_us >= year_0_us && e->created_at_us < year_10000_us;
    if (e->created_at_us == TIME_NONE || (!writable && !slice_is_null(e->created_at))) {
        return e->created_at;
    }
    clock_format_rfc3339(e->created_at_us, buf);
    return slice_from(buf);
}

static struct slice created_at_value(const struct event *e, struct arena *arena)
{
    char text[CLOCK_RFC3339_SIZE];
    struct slice s = encode_created_at(e, text);
    return s.ptr == text ? arena_copy(arena, s) : s;
}

/* The name is one that encode_check let through. Their lengths all differ: that spares the
 * comparisons. */
static struct slice field_value(struct slice name, const struct event *e, struct arena *arena)
{
    switch (name.len) {
    case sizeof "id" - 1:
        return e->id;
    case sizeof "type" - 1:
        return e->type;
    case sizeof "position" - 1:
        return e->position;
    case sizeof "created_at" - 1:
        return created_at_value(e, arena);
    case sizeof "aggregateid" - 1:
        return e->aggregateid;
    default:
        assert(name.len == sizeof "aggregatetype" - 1);
        return e->aggregatetype;
    }
}

static void add(struct headers *h, struct slice name, struct slice value)
{
    h->items[h->count++] = (struct header){name, value};
}

/* What the format itself wants to be there. */
static int add_of_format(struct headers *h, const struct encode_conf *conf, const struct event *e,
                         struct arena *arena, struct error *err)
{
    size_t n = 0;
    if (conf->format == ENCODE_CLOUDEVENTS) {
        if (cloudevents_headers(conf, e, arena, &h->items[h->count], &n, err) < 0) {
            return RESULT_ERROR;
        }
        h->count += n;
    } else if (conf->format == ENCODE_CLOUDEVENTS_JSON) {
        add(h, SLICE_LITERAL("content-type"), SLICE_LITERAL(CLOUDEVENTS_JSON_TYPE));
    }
    return RESULT_DONE;
}

static int add_own(struct headers *h, const struct encode_conf *conf, const struct event *e,
                   struct arena *arena, struct error *err)
{
    bool has_id = false;
    for (size_t i = 0; i < conf->headers_count; i++) {
        struct slice name = slice_from(conf->headers[i]);
        has_id = has_id || name.len == sizeof "id" - 1;
        add(h, name, field_value(name, e, arena));
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

/* A string's text; false if it is none that a header should hold. */
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
        return error_set(err, ERROR_POISON, "encode",
                         "the headers column has a name with a control character or half a "
                         "surrogate pair; rename it");
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
    return error_set(err, ERROR_POISON, "encode",
                     "the headers column is not a JSON object (byte %zu); write one such as "
                     "{\"trace\":\"abc\"}",
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
    e->value = e->payload;
    if (conf->format != ENCODE_JSON && conf->format != ENCODE_CLOUDEVENTS_JSON) {
        return RESULT_DONE;
    }
    if ((conf->format == ENCODE_JSON ? encode_json_line(&text, e, err)
                                     : cloudevents_value(conf, e, arena, &text, err)) < 0) {
        return RESULT_ERROR;
    }
    e->value = arena_copy(arena, buf_slice(&text));
    return RESULT_DONE;
}

int encode_message(const struct encode_conf *conf, struct event *e, struct arena *arena,
                   struct error *err)
{
    /* Not initialized as a whole: it is large, and only `count` items are ever read. */
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
    e->out_headers_count = h.count;
    return RESULT_DONE;
}
