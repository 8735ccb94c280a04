/* The JSON scanner never reads outside its input, agrees with jansson, and what it passes stays one
 * line of JSON. */
#include "base/error.h"
#include "message/encode.h"
#include "value/json.h"
#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* What jansson refuses although RFC 8259 allows it: its limits, half surrogate pairs and NUL in a
 * name. */
static bool jansson_limit(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow || code == json_error_stack_overflow ||
           code == json_error_null_byte_in_key || strstr(error->text, "Unicode");
}

static bool walk(struct slice text, struct arena *arena)
{
    struct json_members members = json_members(text);
    struct json_member m;
    enum json_step step;
    while ((step = json_members_next(&members, &m)) == JSON_MEMBER) {
        size_t len = 0;
        char *out = arena_bytes(arena, m.name.len);
        must(!json_unescape(m.name, out, &len) || len <= m.name.len);
        must(m.name_escaped || slice_equal(m.name, (struct slice){out, len}));
    }
    return step == JSON_END;
}

static void encode(struct slice text, struct arena *arena, bool valid, bool object)
{
    struct error err;
    struct event e = {.id = SLICE_LITERAL("i"),
                      .payload = text,
                      .headers = SLICE_LITERAL("{}"),
                      .created_at_us = 0};
    CLEANUP(buf_release) struct buf line = {0};
    must((encode_json_line(&line, &e, &err) == 0) == valid);
    must(memchr(buf_str(&line), '\n', line.len) == NULL);
    enum json_kind kind;
    size_t fault;
    must(!valid || json_check(buf_slice(&line), &kind, &fault));
    e.headers = text;
    e.payload_kind = PAYLOAD_TEXT;
    buf_clear(&line);
    must(encode_json_line(&line, &e, &err) < 0 || object);
    static const char *const names[] = {"id", "created_at"};
    const struct encode_conf conf = {
        .format = format_at(0) /* payload */, .headers = names, .headers_count = 2};
    must(encode_message(&conf, &e, arena, &err) < 0 || object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    enum json_kind kind = JSON_IS_NULL;
    size_t fault = 0;
    struct arena arena;
    arena_init(&arena);
    bool valid = size > 0 && json_check(text, &kind, &fault);
    must(valid || fault <= size);
    json_error_t error;
    json_t *other = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    /* A NUL byte between tokens ends the input for jansson; for us it is no JSON. */
    bool quirk = other && size > 0 && memchr(text.ptr, '\0', size);
    must(valid == (other != NULL) || (valid ? jansson_limit(&error) : quirk));
    json_decref(other);
    if (size > 0) {
        bool object = valid && kind == JSON_IS_OBJECT;
        must(walk(text, &arena) == object);
        encode(text, &arena, valid, object);
    }
    arena_release(&arena);
    return 0;
}
