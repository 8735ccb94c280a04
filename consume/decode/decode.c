/* Makes records. The texts of a record lie one behind the other in one piece of memory that is
 * reserved beforehand, so that none of them moves. */
#include "consume/decode/decode.h"

#include "base/fnv1a.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "config/config.h"
#include "consume/decode/line.h"
#include "value/base64.h"
#include "value/json.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* Copies a text into the record; a null slice stays null. */
static struct slice put(struct record *r, struct slice s)
{
    if (slice_is_null(s)) {
        return s;
    }
    struct buf *b = &r->memory;
    assert(b->cap - b->len > s.len);
    struct slice copy = {b->data + b->len, s.len};
    buf_add_slice(b, s);
    return copy;
}

static uint64_t hash_on(uint64_t h, struct slice s)
{
    return fnv1a_byte(fnv1a_add(h, s), 0xff); /* the text's end */
}

/* Equal for two events that must be applied in order: those of one key, or of one stream where they
 * have none. */
static uint64_t order_of(const struct record *r, struct slice topic, const char *stream)
{
    uint64_t h = hash_on(FNV1A_START, topic);
    return hash_on(h, slice_is_null(r->key) ? slice_from(stream) : r->key);
}

/* A stream is a topic of at most 249 characters and a partition, or a pipeline's name. */
enum { PLACE_SIZE = 320 };

/* The id of an event that came without one. It is the same whenever this message is read. */
static void place_id(const struct incoming *in, char *out, size_t size)
{
    snprintf(out, size, "%s/%lld", in->stream, (long long)in->number);
}

/* A text of JSON may stand in a string, as SQLite's payloads do. */
static struct slice unquoted(struct record *r, struct slice value)
{
    enum json_kind kind;
    size_t fault, n;
    if (slice_is_null(value) || value.len < 2 || value.ptr[0] != '"' ||
        value.ptr[value.len - 1] != '"' || !json_check(value, &kind, &fault)) {
        return value;
    }
    struct slice raw = {value.ptr + 1, value.len - 2};
    buf_reserve(&r->plain, raw.len);
    if (!json_unescape(raw, r->plain.data, &n)) {
        return value;
    }
    r->plain.len = n;
    struct slice text = buf_slice(&r->plain);
    return json_check(text, &kind, &fault) ? text : value;
}

/* The bytes of a payload that is no text in its table. */
static struct slice unpacked(struct record *r, struct slice quoted)
{
    struct slice text = {quoted.ptr + 1, quoted.len - 2};
    if (!base64_parse(&r->plain, text)) {
        record_fault(r, "its payload_base64 is no base64");
        return SLICE_NULL;
    }
    return buf_slice(&r->plain);
}

static void decode_row(const struct decode_conf *conf, struct record *r, struct slice value)
{
    enum json_kind kind;
    size_t fault;
    if (!slice_is_null(value) && !json_check(value, &kind, &fault)) {
        record_fault(r, "its value is no JSON (byte %zu)", fault);
        return;
    }
    if (slice_equal_str(value, "null")) {
        value = SLICE_NULL;
    }
    switch (conf->format) {
    case DECODE_JSON:
    case DECODE_PAYLOAD:
        decode_plain(r, value);
        return;
    case DECODE_FLAT:
        decode_flat(r, value, conf->flat_prefix);
        return;
    case DECODE_DEBEZIUM:
        decode_debezium(r, value);
        return;
    }
}

/* The event came as a line, which also says its id. `line` lies in the record's memory, and `parts`
 * were read from it before the copy. */
static struct slice payload_of(struct record *r, const struct line_parts *parts, struct slice from)
{
    if (!parts->payload_given) {
        record_fault(r, "it has no member `payload`: it is no event as the format `json` has it; "
                        "set `format` to that of the pipeline that sent it");
        return SLICE_NULL;
    }
    return (struct slice){r->line.ptr + (parts->payload.ptr - from.ptr), parts->payload.len};
}

/* Line ends in JSON stand between tokens, never inside a string. */
static void in_one_line(struct record *r)
{
    size_t at = (size_t)(r->line.ptr - r->memory.data);
    for (size_t i = at; i < at + r->line.len; i++) {
        if (r->memory.data[i] == '\n' || r->memory.data[i] == '\r') {
            r->memory.data[i] = ' ';
        }
    }
}

static struct slice first_of(struct slice a, struct slice b)
{
    return slice_is_null(a) ? b : a;
}

/* An empty id names no event: all that have it would count as one. */
static struct slice not_empty(struct slice id)
{
    return id.len > 0 ? id : SLICE_NULL;
}

/* An inbox keeps ids as text in an index. Databases take only UTF-8 without NUL as text, and an
 * index takes no long ones. */
static void check_id(struct record *r)
{
    enum { ID_MAX = 2000 };
    if (!utf8_valid(r->id) || memchr(r->id.ptr, '\0', r->id.len)) {
        record_fault(r, "its id is not UTF-8 text without NUL, which an inbox needs");
    } else if (r->id.len > ID_MAX) {
        record_fault(r, "its id has %zu bytes; an inbox takes at most %d", r->id.len, ID_MAX);
    }
}

struct decode_conf decode_conf_of(const struct conf_consumer *conf)
{
    return (struct decode_conf){.format = (enum decode_format)conf->format,
                                .flat_prefix = conf->flat_prefix,
                                .rows = *conf->apply.into != '\0'};
}

struct record *decode(const struct decode_conf *conf, const struct incoming *in)
{
    CLEANUP(arena_release) struct arena scratch = {0};
    struct record *r = memory_need(calloc(1, sizeof *r));
    struct line_parts parts = {0};
    const char *fault = NULL;
    char place[PLACE_SIZE];
    bool lined = !slice_is_null(in->line) || conf->format == DECODE_JSON;
    struct slice line = slice_is_null(in->line) && lined ? in->value : in->line;
    place_id(in, place, sizeof place);
    if (lined && (slice_is_null(line) || !line_read(line, &scratch, &parts, &fault))) {
        record_fault(r, "%s", fault ? fault : "it is a tombstone, which the format `json` has not");
    }
    struct slice id = first_of(not_empty(first_of(parts.id, in->id)), slice_from(place));
    struct slice key = first_of(parts.key, in->key), value = lined ? SLICE_NULL : in->value;
    buf_reserve(&r->memory, line.len + value.len + id.len + key.len + parts.position.len + 16);
    r->id = put(r, id);
    check_id(r);
    r->key = put(r, key);
    r->position = put(r, parts.position);
    r->line = put(r, line);
    value = put(r, value);
    r->number = in->number;
    r->order = order_of(r, first_of(parts.topic, in->topic), in->stream);
    r->received = lined ? r->line : value;
    if (!lined) {
        line_make(&r->made, in, id, place);
        r->line = buf_slice(&r->made);
    } else if (!fault) {
        in_one_line(r);
        value = payload_of(r, &parts, line);
    }
    if (conf->rows && !r->fault[0]) {
        value = parts.binary ? unpacked(r, value) : unquoted(r, value);
        decode_row(conf, r, value);
    }
    r->bytes = sizeof *r + r->memory.cap + r->made.cap + r->plain.cap;
    return r;
}
