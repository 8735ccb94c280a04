/* Merges headers from the configuration ({column: C, as: N}, {value: V, as: N}) into the event's
 * headers column. After that, every format and sink finds them in one place. */
#include "message/internal.h"

#include "value/json.h"

/* Whether a member of the column has the name of one of the further headers. */
static bool is_one_of(const struct json_member *m, const struct header *more, size_t n,
                      struct arena *arena)
{
    struct slice name = m->name;
    if (m->name_escaped) {
        char *text = arena_bytes(arena, name.len);
        if (!json_unescape(m->name, text, &name.len)) {
            return false; /* encode_message refuses the event because of it */
        }
        name.ptr = text;
    }
    for (size_t i = 0; i < n; i++) {
        if (slice_equal(more[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Copies name and value as they stand in the column, escapes included. */
static void add_member(struct buf *out, const struct json_member *m)
{
    const char *quote = m->type == JSON_IS_STRING ? "\"" : "";
    buf_printf(out, ",\"%.*s\":%s", SLICE_FMT(m->name), quote);
    buf_add_slice(out, m->value);
    buf_add_str(out, quote);
}

static int add_column(struct buf *out, struct slice column, const struct header *more, size_t n,
                      struct arena *arena, struct error *err)
{
    struct json_members members = json_members(column);
    struct json_member m;
    enum json_step step;
    while ((step = json_members_next(&members, &m)) == JSON_MEMBER) {
        if (!is_one_of(&m, more, n, arena)) {
            add_member(out, &m);
        }
    }
    if (step == JSON_FAULT) {
        return encode_headers_refused(&members, err);
    }
    return RESULT_DONE;
}

/* A NUL would be valid UTF-8, but encode_message refuses it in a header. */
static bool has_nul(struct slice s)
{
    return s.len > 0 && memchr(s.ptr, 0, s.len);
}

int encode_add_headers(struct event *e, const struct header *more, size_t n, struct arena *arena,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf out = {0};
    if (n == 0) {
        return RESULT_DONE;
    }
    for (size_t i = 0; i < n; i++) {
        buf_add_char(&out, i ? ',' : '{');
        bool said = encode_json_string(&out, more[i].name);
        buf_add_char(&out, ':');
        if (slice_is_null(more[i].value)) {
            buf_add_str(&out, "null");
        } else {
            said = said && !has_nul(more[i].value) && encode_json_string(&out, more[i].value);
        }
        if (!said) {
            return error_set(
                err, ERROR_POISON, "encode",
                "what should become the header %.*s is no text in UTF-8; mend the row or encode.headers",
                SLICE_FMT(more[i].name));
        }
    }
    if (!slice_is_null(e->headers) && add_column(&out, e->headers, more, n, arena, err) < 0) {
        return RESULT_ERROR;
    }
    buf_add_char(&out, '}');
    e->headers = arena_copy(arena, buf_slice(&out));
    return RESULT_DONE;
}
