/* Writes JSON values in Avro's binary encoding, led by the schema. The text of a value was checked
 * by the walk over the object that holds it (value/json.h). */
#include "message/schema/avro_type.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "value/base64.h"
#include "value/json.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

void avro_put_long(struct buf *out, int64_t v)
{
    uint64_t n = (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
    char bytes[10];
    size_t len = 0;
    for (; n >= 0x80; n >>= 7) {
        bytes[len++] = (char)(n | 0x80);
    }
    bytes[len++] = (char)n;
    buf_add(out, bytes, len);
}

static int unfit(struct error *err, const char *wanted, struct slice json)
{
    return error_set(err, ERROR_POISON, "avro",
                     slice_equal_str(json, "null")
                         ? "it is null, and the schema wants %s; let the server send whole rows "
                           "(REPLICA IDENTITY FULL), or mend the row"
                         : "its value is not %s, as the schema wants it",
                     wanted);
}

static struct slice trimmed(struct slice s)
{
    static const char blanks[] = " \t\r\n";
    while (s.len > 0 && memchr(blanks, s.ptr[0], 4)) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && memchr(blanks, s.ptr[s.len - 1], 4)) {
        s.len--;
    }
    return s;
}

/* Copies a number to where strtod and strtoll can read it. */
static bool number_text(struct slice json, char *to, size_t size)
{
    if (json.len == 0 || json.len >= size || json.ptr[0] == '"') {
        return false;
    }
    memcpy(to, json.ptr, json.len);
    to[json.len] = '\0';
    return true;
}

static int put_integer(struct buf *out, struct slice json, bool is_long, struct error *err)
{
    char text[32], *end;
    errno = 0;
    if (!number_text(json, text, sizeof text)) {
        return unfit(err, is_long ? "a long" : "an int", json);
    }
    long long v = strtoll(text, &end, 10);
    if (*end || errno || (!is_long && (v < INT32_MIN || v > INT32_MAX))) {
        return unfit(err, is_long ? "a long" : "an int", json);
    }
    avro_put_long(out, v);
    return RESULT_DONE;
}

/* NaN and the infinities are strings in our JSON. */
static bool read_double(struct slice json, double *ret)
{
    static const struct {
        const char *text;
        double value;
    } specials[] = {{"\"NaN\"", NAN}, {"\"Infinity\"", INFINITY}, {"\"-Infinity\"", -INFINITY}};
    char few[64], *text = few, *end;
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        if (slice_equal_str(json, specials[i].text)) {
            *ret = specials[i].value;
            return true;
        }
    }
    if (json.len >= sizeof few) {
        text = memory_need(malloc(json.len + 1));
    }
    bool ok = number_text(json, text, json.len + 1);
    if (ok) {
        *ret = strtod(text, &end);
        ok = *end == '\0';
    }
    if (text != few) {
        free(text);
    }
    return ok;
}

/* The lowest byte first, on any machine. */
static void put_bits(struct buf *out, uint64_t bits, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        buf_add_char(out, (char)(bits >> (8 * i)));
    }
}

/* A text such as 0.1 is read as a double and then rounded: twice rounded is once, for the texts are
 * the shortest ones of a float. */
static int put_double(struct buf *out, struct slice json, bool single, struct error *err)
{
    double v;
    if (!read_double(json, &v)) {
        return unfit(err, single ? "a float" : "a double", json);
    }
    if (single) {
        float f = (float)v;
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        put_bits(out, bits, sizeof bits);
    } else {
        uint64_t bits;
        memcpy(&bits, &v, sizeof bits);
        put_bits(out, bits, sizeof bits);
    }
    return RESULT_DONE;
}

/* Appends the text of a JSON string. `json`: with its quotes. */
static bool add_text(struct buf *out, struct slice json)
{
    if (json.len < 2 || json.ptr[0] != '"') {
        return false;
    }
    struct slice raw = {json.ptr + 1, json.len - 2};
    size_t len;
    buf_reserve(out, raw.len);
    if (!json_unescape(raw, out->data + out->len, &len)) {
        return false;
    }
    out->len += len;
    out->data[out->len] = '\0';
    return true;
}

static void put_bytes(struct buf *out, struct slice bytes)
{
    avro_put_long(out, (int64_t)bytes.len);
    buf_add_slice(out, bytes);
}

static int put_string(struct buf *out, struct slice json, struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    if (json.len >= 2 && json.ptr[0] == '"' && !memchr(json.ptr, '\\', json.len)) {
        put_bytes(out, (struct slice){json.ptr + 1, json.len - 2});
        return RESULT_DONE;
    }
    if (!add_text(&text, json)) {
        return unfit(err, "a string", json);
    }
    put_bytes(out, buf_slice(&text));
    return RESULT_DONE;
}

/* Bytes that stand as the characters U+0000 to U+00FF: those of a default. \u0000 is what
 * json_unescape refuses, so it is read here. */
static bool add_characters(struct buf *out, struct slice json)
{
    if (json.len < 2 || json.ptr[0] != '"') {
        return false;
    }
    const char *p = json.ptr + 1, *end = json.ptr + json.len - 1;
    while (p < end) {
        size_t n = *p == '\\' ? (p[1] == 'u' ? 6 : 2) : utf8_sequence(p, end);
        CLEANUP(buf_release) struct buf one = {0};
        if (n == 6 && memcmp(p, "\\u0000", 6) == 0) {
            buf_add_char(out, '\0');
            p += n;
            continue;
        }
        buf_printf(&one, "\"%.*s\"", (int)n, p);
        CLEANUP(buf_release) struct buf text = {0};
        if (n == 0 || !add_text(&text, buf_slice(&one)) || text.len == 0) {
            return false;
        }
        unsigned char a = (unsigned char)text.data[0];
        unsigned char b = text.len == 2 ? (unsigned char)text.data[1] : 0;
        if (text.len > 2 || (text.len == 2 && a > 0xc3)) {
            return false;
        }
        buf_add_char(out, (char)(text.len == 2 ? (a & 3) << 6 | (b & 0x3f) : a));
        p += n;
    }
    return true;
}

static int put_binary(struct buf *out, struct slice json, enum avro_bytes as, struct error *err)
{
    CLEANUP(buf_release) struct buf bytes = {0};
    bool ok = json.len >= 2 && json.ptr[0] == '"' &&
              (as == AVRO_BYTES_CHARACTERS
                   ? add_characters(&bytes, json)
                   : base64_parse(&bytes, (struct slice){json.ptr + 1, json.len - 2}));
    if (!ok) {
        return unfit(err, "bytes in base64", json);
    }
    put_bytes(out, buf_slice(&bytes));
    return RESULT_DONE;
}

/* The end of the value at p, in text that is valid JSON: the comma or bracket behind it. */
static const char *value_end(const char *p, const char *end)
{
    size_t depth = 0;
    for (bool inside = false; p < end; p++) {
        if (inside && *p == '\\') {
            p++;
        } else if (inside) {
            inside = *p != '"';
        } else if (*p == '"') {
            inside = true;
        } else if (*p == '[' || *p == '{') {
            depth++;
        } else if (*p == ']' || *p == '}' || *p == ',') {
            if (depth == 0) {
                break;
            }
            depth -= *p != ',';
        }
    }
    return p;
}

/* The next element of an array; false: there is none. *at begins behind the bracket. */
static bool next_element(const char **at, const char *end, struct slice *ret)
{
    const char *stop = value_end(*at, end);
    *ret = trimmed((struct slice){*at, (size_t)(stop - *at)});
    *at = stop < end ? stop + 1 : end;
    return ret->len > 0;
}

/* One block with all elements, as Java's encoder writes it, and the block of none that ends it. */
static int put_array(struct buf *out, const struct avro_type *t, struct slice json,
                     enum avro_bytes bytes, struct error *err)
{
    struct slice element;
    int64_t count = 0;
    if (json.len < 2 || json.ptr[0] != '[') {
        return unfit(err, "an array", json);
    }
    const char *end = json.ptr + json.len - 1, *at = json.ptr + 1;
    while (next_element(&at, end, &element)) {
        count++;
    }
    if (count > 0) {
        avro_put_long(out, count);
    }
    for (at = json.ptr + 1; next_element(&at, end, &element);) {
        if (avro_put(out, t->of, element, bytes, err)) {
            return error_prefix(err, "an element");
        }
    }
    avro_put_long(out, 0);
    return RESULT_DONE;
}

static int put_map(struct buf *out, const struct avro_type *t, struct slice json,
                   enum avro_bytes bytes, struct error *err)
{
    CLEANUP(buf_release) struct buf pairs = {0};
    struct json_members walk = json_members(json);
    struct json_member m;
    enum json_step step;
    int64_t count = 0;
    while ((step = json_members_next(&walk, &m)) == JSON_MEMBER) {
        struct slice name = {m.name.ptr - 1, m.name.len + 2}; /* with its quotes */
        if (put_string(&pairs, name, err) ||
            avro_put(&pairs, t->of, json_member_text(&m), bytes, err)) {
            return RESULT_ERROR;
        }
        count++;
    }
    if (step == JSON_FAULT) {
        return unfit(err, "a map", json);
    }
    if (count > 0) {
        avro_put_long(out, count);
        buf_add_slice(out, buf_slice(&pairs));
    }
    avro_put_long(out, 0);
    return RESULT_DONE;
}

/* A field that is not in the JSON. */
static int put_missing(struct buf *out, const struct avro_field *f, struct error *err)
{
    if (!slice_is_null(f->fallback)) {
        buf_add_slice(out, f->fallback);
    } else if (f->type->kind == AVRO_UNION) {
        avro_put_long(out, f->type->null_branch);
    } else {
        return error_set(err, ERROR_POISON, "avro",
                         "%.*s: it is missing, and the schema has no default for it",
                         SLICE_FMT(f->name));
    }
    return RESULT_DONE;
}

/* Fields and members mostly have the same order, so the next member is looked at first. What the
 * schema does not have is refused: left out, it would be lost. */
static int put_record(struct buf *out, const struct avro_type *t, struct slice json,
                      enum avro_bytes bytes, struct error *err)
{
    struct json_members walk = json_members(json);
    struct json_member next, m;
    enum json_step step = json_members_next(&walk, &next);
    size_t taken = 0, members = 0;
    if (step == JSON_FAULT) {
        return unfit(err, "an object", json);
    }
    for (size_t i = 0; i < t->fields_count; i++) {
        const struct avro_field *f = &t->fields[i];
        if (step == JSON_MEMBER && !next.name_escaped && slice_equal(next.name, f->name)) {
            m = next;
            step = json_members_next(&walk, &next);
            members++;
        } else if (!json_find(json, f->name.ptr, &m)) {
            if (put_missing(out, f, err)) {
                return RESULT_ERROR;
            }
            continue;
        }
        taken++;
        if (avro_put(out, f->type, json_member_text(&m), bytes, err)) {
            return error_prefix(err, "%.*s", SLICE_FMT(f->name));
        }
    }
    while (step == JSON_MEMBER) {
        members++;
        step = json_members_next(&walk, &next);
    }
    if (step == JSON_FAULT) {
        return unfit(err, "an object", json);
    }
    if (members != taken) {
        return error_set(err, ERROR_POISON, "avro",
                         "its JSON has %zu members, and the schema knows %zu of them; mend the "
                         "payload, or let the schema have them",
                         members, taken);
    }
    return RESULT_DONE;
}

static int put_boolean(struct buf *out, struct slice json, struct error *err)
{
    bool yes = slice_equal_str(json, "true");
    if (!yes && !slice_equal_str(json, "false")) {
        return unfit(err, "a boolean", json);
    }
    buf_add_char(out, yes);
    return RESULT_DONE;
}

static int put_union(struct buf *out, const struct avro_type *t, struct slice json,
                     enum avro_bytes bytes, struct error *err)
{
    bool null = slice_equal_str(json, "null");
    avro_put_long(out, null ? t->null_branch : 1 - t->null_branch);
    return null ? RESULT_DONE : avro_put(out, t->of, json, bytes, err);
}

int avro_put(struct buf *out, const struct avro_type *t, struct slice json, enum avro_bytes bytes,
             struct error *err)
{
    json = trimmed(json);
    switch (t->kind) {
    case AVRO_NULL:
        return slice_equal_str(json, "null") ? RESULT_DONE : unfit(err, "null", json);
    case AVRO_BOOLEAN:
        return put_boolean(out, json, err);
    case AVRO_INT:
    case AVRO_LONG:
        return put_integer(out, json, t->kind == AVRO_LONG, err);
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
        return put_double(out, json, t->kind == AVRO_FLOAT, err);
    case AVRO_BYTES:
        return put_binary(out, json, bytes, err);
    case AVRO_STRING:
        return put_string(out, json, err);
    case AVRO_ARRAY:
        return put_array(out, t, json, bytes, err);
    case AVRO_MAP:
        return put_map(out, t, json, bytes, err);
    case AVRO_RECORD:
        return put_record(out, t, json, bytes, err);
    case AVRO_UNION:
    default:
        return put_union(out, t, json, bytes, err);
    }
}
