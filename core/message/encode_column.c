/* Columns of batch files that reach into the payload or the headers. The text is scanned, not
 * parsed to a tree, so a value goes out exactly as it came in. */
#include "message/internal.h"

#include "value/base64.h"
#include "value/json.h"

/* Whether no part between the dots is empty. */
static bool well_formed(const char *path)
{
    size_t n = strlen(path);
    return n > 0 && path[0] != '.' && path[n - 1] != '.' && !strstr(path, "..");
}

bool encode_column_from(const char *name, struct encode_column *ret)
{
    static const enum event_field with_members[] = {FIELD_PAYLOAD, FIELD_HEADERS};
    static const char *const prefixes[] = {"payload.", "headers."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], n) == 0) {
            *ret = (struct encode_column){with_members[i], name + n};
            return well_formed(ret->path);
        }
    }
    *ret = (struct encode_column){event_field_from(name), NULL};
    return ret->field != FIELD_UNKNOWN;
}

/* Whether the member has this name. One with an escape that no text can hold has none. */
static bool has_name(const struct json_member *m, struct slice name)
{
    if (!m->name_escaped) {
        return slice_equal(m->name, name);
    }
    CLEANUP(buf_release) struct buf text = {0};
    size_t len;
    buf_reserve(&text, m->name.len);
    return json_unescape(m->name, text.data, &len) &&
           slice_equal((struct slice){text.data, len}, name);
}

/* Finds the last member of the name. False: the text stops being a JSON object. */
static bool find_member(struct slice object, struct slice name, struct json_member *ret,
                        bool *ret_found)
{
    struct json_members members = json_members(object);
    struct json_member m;
    enum json_step step;
    *ret_found = false;
    while ((step = json_members_next(&members, &m)) == JSON_MEMBER) {
        if (has_name(&m, name)) {
            *ret = m;
            *ret_found = true;
        }
    }
    return step == JSON_END;
}

/* Follows the path from member to member. `found` is false where it leads nowhere. `object` was
 * checked to be a JSON object; what is inside it is then well-formed, too. */
static bool follow(struct slice object, const char *path, struct json_member *ret)
{
    bool found = false;
    while (true) {
        struct slice part = {path, strcspn(path, ".")};
        if (!find_member(object, part, ret, &found) || !found) {
            return false;
        }
        path += part.len;
        if (!*path) {
            return ret->type != JSON_IS_NULL;
        }
        if (ret->type != JSON_IS_OBJECT) {
            return false;
        }
        object = ret->value;
        path++;
    }
}

static int not_json(const struct encode_column *c, struct error *err)
{
    const char *what = c->field == FIELD_PAYLOAD ? "payload" : "headers";
    return error_set(
        err, ERROR_POISON, "encode",
        "the %s of this event is not JSON, so there is no %s.%s for its column; mend the row, or take the column out of sink.columns",
        what, what, c->path);
}

/* Looks up the value under the path. *ret_there: there is one, other than null. */
static int look_up(const struct event *e, const struct encode_column *c, struct json_member *ret,
                   bool *ret_there, struct error *err)
{
    struct slice text = c->field == FIELD_PAYLOAD ? e->payload : e->headers;
    enum json_kind kind;
    size_t fault;
    *ret_there = false;
    if (slice_is_null(text)) {
        return RESULT_DONE;
    }
    if ((c->field == FIELD_PAYLOAD && e->payload_kind == PAYLOAD_BYTES) ||
        !json_check(text, &kind, &fault)) {
        return not_json(c, err);
    }
    *ret_there = kind == JSON_IS_OBJECT && follow(text, c->path, ret);
    return RESULT_DONE;
}

static int add_string(struct buf *out, const struct json_member *m, const struct encode_column *c,
                      struct error *err)
{
    size_t len;
    if (!m->value_escaped) {
        buf_add_slice(out, m->value);
        return RESULT_DONE;
    }
    buf_reserve(out, m->value.len);
    if (!json_unescape(m->value, out->data + out->len, &len)) {
        return error_set(
            err, ERROR_POISON, "encode",
            "the value of the column %s holds \\u0000 or half a character, which no text can hold; mend the row",
            c->path);
    }
    out->len += len;
    out->data[out->len] = '\0';
    return RESULT_DONE;
}

int encode_column_text(struct buf *out, const struct event *e, const struct encode_column *c,
                       bool *ret_there, struct error *err)
{
    struct json_member m;
    char time[CLOCK_RFC3339_SIZE];
    if (!c->path) {
        struct slice value = event_field(e, c->field, time);
        *ret_there = !slice_is_null(value);
        if (*ret_there && c->field == FIELD_PAYLOAD && e->payload_kind == PAYLOAD_BYTES) {
            base64_add(out, value);
        } else if (*ret_there) {
            buf_add_slice(out, value);
        }
        return RESULT_DONE;
    }
    if (look_up(e, c, &m, ret_there, err)) {
        return RESULT_ERROR;
    }
    if (!*ret_there) {
        return RESULT_DONE;
    }
    if (m.type == JSON_IS_STRING) {
        return add_string(out, &m, c, err);
    }
    encode_json_one_line(out, m.value);
    return RESULT_DONE;
}

/* Whether the field as a whole is JSON that goes out as it is. */
static bool is_json(const struct event *e, enum event_field field)
{
    return field == FIELD_HEADERS || (field == FIELD_PAYLOAD && e->payload_kind == PAYLOAD_JSON);
}

static int add_whole_json(struct buf *out, struct slice text, enum event_field field,
                          struct error *err)
{
    enum json_kind kind;
    size_t fault = 0;
    if (!json_check(text, &kind, &fault)) {
        return error_set(err, ERROR_POISON, "encode",
                         "the %s of this event is not JSON (byte %zu); mend the row",
                         field == FIELD_PAYLOAD ? "payload" : "headers", fault);
    }
    encode_json_one_line(out, text);
    return RESULT_DONE;
}

int encode_column_json(struct buf *out, const struct event *e, const struct encode_column *c,
                       struct error *err)
{
    struct json_member m;
    char time[CLOCK_RFC3339_SIZE];
    bool there;
    if (c->path) {
        if (look_up(e, c, &m, &there, err)) {
            return RESULT_ERROR;
        }
        const char *quote = there && m.type == JSON_IS_STRING ? "\"" : "";
        buf_add_str(out, quote);
        encode_json_one_line(out, there ? m.value : SLICE_LITERAL("null"));
        buf_add_str(out, quote);
        return RESULT_DONE;
    }
    struct slice whole = event_field(e, c->field, time);
    if (!slice_is_null(whole) && is_json(e, c->field)) {
        return add_whole_json(out, whole, c->field, err);
    }
    CLEANUP(buf_release) struct buf text = {0};
    if (encode_column_text(&text, e, c, &there, err)) {
        return RESULT_ERROR;
    }
    if (!there) {
        buf_add_str(out, "null");
    } else if (!encode_json_string(out, buf_slice(&text))) {
        return error_set(err, ERROR_POISON, "encode",
                         "a column of this event is not UTF-8 text, which JSON needs; mend the "
                         "row, or keep bytes in a bytea column");
    }
    return RESULT_DONE;
}
