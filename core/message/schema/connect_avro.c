/* Writes a schema of Kafka Connect as Avro. The sequence of attributes is that of Confluent's
 * AvroData, so that a registry finds the schema that Debezium has registered, and gives its number.
 */
#include "message/schema/connect.h"

#include "message/encode.h"
#include "value/base64.h"
#include <assert.h>

enum { STRUCTS_MAX = 16, DEFAULT_PRECISION = 64 };

struct writer {
    struct buf *out;
    struct slice written[STRUCTS_MAX]; /* names of structs that stand there already */
    size_t written_count;
    struct slice space; /* the namespace of the struct around */
};

static int refuse_name(struct slice name, struct error *err)
{
    return error_set(
        err, ERROR_POISON, "encode",
        "Avro allows no field named %.*s: a name is a letter or _, then letters, digits and _; rename the column, or leave it out of the publication",
        SLICE_FMT(name));
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!is_letter(name.ptr[i]) && (i == 0 || name.ptr[i] < '0' || name.ptr[i] > '9')) {
            return false;
        }
    }
    return name.len > 0;
}

static int add_string(struct buf *out, struct slice text, struct error *err)
{
    if (!encode_json_string(out, text)) {
        return error_set(err, ERROR_POISON, "encode",
                         "%.*s is not UTF-8, which a schema needs; rename it", SLICE_FMT(text));
    }
    return RESULT_DONE;
}

static bool is_called(const struct connect_schema *s, const char *name)
{
    return slice_equal_str(s->name, name);
}

/* What stands behind the last dot, and before it. */
static struct slice last_part(struct slice name, struct slice *ret_space)
{
    size_t at = name.len;
    while (at > 0 && name.ptr[at - 1] != '.') {
        at--;
    }
    *ret_space = (struct slice){name.ptr, at > 0 ? at - 1 : 0};
    return (struct slice){name.ptr + at, name.len - at};
}

/* A default. Avro has bytes as a string with a character for each byte. */
static int add_default(struct buf *out, const struct connect_schema *s, struct error *err)
{
    CLEANUP(buf_release) struct buf bytes = {0}, text = {0};
    if (s->kind != CONNECT_BYTES) {
        buf_add_slice(out, s->fallback);
        return RESULT_DONE;
    }
    if (s->fallback.len < 2 ||
        !base64_parse(&bytes, (struct slice){s->fallback.ptr + 1, s->fallback.len - 2})) {
        return error_set(err, ERROR_FATAL, "encode", "the default of a schema is not base64");
    }
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if (c >= 0x80) {
            buf_add_char(&text, (char)(0xc0 | c >> 6));
            c = (unsigned char)(0x80 | (c & 0x3f));
        }
        buf_add_char(&text, (char)c);
    }
    return add_string(out, buf_slice(&text), err);
}

static const char *primitive(enum connect_kind kind)
{
    switch (kind) {
    case CONNECT_BOOLEAN:
        return "boolean";
    case CONNECT_INT16:
    case CONNECT_INT32:
        return "int";
    case CONNECT_INT64:
        return "long";
    case CONNECT_FLOAT32:
        return "float";
    case CONNECT_FLOAT64:
        return "double";
    case CONNECT_BYTES:
        return "bytes";
    case CONNECT_STRING:
    case CONNECT_ARRAY:
    case CONNECT_MAP:
    case CONNECT_STRUCT:
    default:
        return "string";
    }
}

/* The value of a parameter; "" if it has none of that name. */
static struct slice parameter(const struct connect_schema *s, const char *name)
{
    for (size_t i = 0; i < s->parameters_count; i++) {
        if (strcmp(s->parameters[i].name, name) == 0) {
            return s->parameters[i].value;
        }
    }
    return SLICE_LITERAL("");
}

static void add_scale(struct buf *out, const struct connect_schema *s)
{
    struct slice scale = parameter(s, "scale"),
                 precision = parameter(s, "connect.decimal.precision");
    buf_printf(out, ",\"scale\":%.*s,\"precision\":", SLICE_FMT(scale));
    if (precision.len > 0) {
        buf_add_slice(out, precision);
    } else {
        buf_add_u64(out, DEFAULT_PRECISION);
    }
}

static int add_parameters(struct buf *out, const struct connect_schema *s, struct error *err)
{
    for (size_t i = 0; i < s->parameters_count; i++) {
        buf_add_str(out, i == 0 ? ",\"connect.parameters\":{" : ",");
        buf_printf(out, "\"%s\":", s->parameters[i].name);
        if (add_string(out, s->parameters[i].value, err)) {
            return RESULT_ERROR;
        }
    }
    if (s->parameters_count > 0) {
        buf_add_char(out, '}');
    }
    return RESULT_DONE;
}

/* Avro's own name for a type of Kafka Connect; NULL: it has none. */
static const char *logical_type(const struct connect_schema *s)
{
    static const char *const types[][2] = {
        {CONNECT_DECIMAL, "decimal"},
        {"org.apache.kafka.connect.data.Date", "date"},
        {"org.apache.kafka.connect.data.Time", "time-millis"},
        {"org.apache.kafka.connect.data.Timestamp", "timestamp-millis"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (is_called(s, types[i][0])) {
            return types[i][1];
        }
    }
    return NULL;
}

static int add_attributes(struct buf *out, const struct connect_schema *s, struct error *err)
{
    if (s->doc) {
        buf_printf(out, ",\"connect.doc\":\"%s\"", s->doc);
    }
    if (s->version > 0) {
        buf_printf(out, ",\"connect.version\":%d", s->version);
    }
    if (add_parameters(out, s, err)) {
        return RESULT_ERROR;
    }
    if (!slice_is_null(s->fallback)) {
        buf_add_str(out, ",\"connect.default\":");
        if (add_default(out, s, err)) {
            return RESULT_ERROR;
        }
    }
    if (!slice_is_null(s->name)) {
        buf_add_str(out, ",\"connect.name\":");
        if (add_string(out, s->name, err)) {
            return RESULT_ERROR;
        }
    }
    if (s->kind == CONNECT_INT16) {
        buf_add_str(out, ",\"connect.type\":\"int16\"");
    }
    const char *logical = logical_type(s);
    if (logical) {
        buf_printf(out, ",\"logicalType\":\"%s\"", logical);
    }
    return RESULT_DONE;
}

static int add_type(struct writer *w, const struct connect_schema *s, struct error *err);

static int add_primitive(struct writer *w, const struct connect_schema *s, struct error *err)
{
    bool bare = slice_is_null(s->name) && slice_is_null(s->fallback) && s->kind != CONNECT_INT16;
    buf_printf(w->out, bare ? "\"%s\"" : "{\"type\":\"%s\"", primitive(s->kind));
    if (bare) {
        return RESULT_DONE;
    }
    if (is_called(s, CONNECT_DECIMAL)) {
        add_scale(w->out, s);
    }
    if (add_attributes(w->out, s, err)) {
        return RESULT_ERROR;
    }
    buf_add_char(w->out, '}');
    return RESULT_DONE;
}

static int add_many(struct writer *w, const struct connect_schema *s, struct error *err)
{
    buf_add_str(w->out, s->kind == CONNECT_ARRAY ? "{\"type\":\"array\",\"items\":"
                                                 : "{\"type\":\"map\",\"values\":");
    if (add_type(w, s->of, err) || add_attributes(w->out, s, err)) {
        return RESULT_ERROR;
    }
    buf_add_char(w->out, '}');
    return RESULT_DONE;
}

static int add_field(struct writer *w, const struct connect_field *f, struct error *err)
{
    if (!is_name(f->name)) {
        return refuse_name(f->name, err);
    }
    buf_printf(w->out, "{\"name\":\"%.*s\",\"type\":", SLICE_FMT(f->name));
    if (add_type(w, f->schema, err)) {
        return RESULT_ERROR;
    }
    if (!slice_is_null(f->schema->fallback)) {
        buf_add_str(w->out, ",\"default\":");
        if (add_default(w->out, f->schema, err)) {
            return RESULT_ERROR;
        }
    } else if (f->schema->optional) {
        buf_add_str(w->out, ",\"default\":null");
    }
    buf_add_char(w->out, '}');
    return RESULT_DONE;
}

static bool is_written(const struct writer *w, struct slice name)
{
    for (size_t i = 0; i < w->written_count; i++) {
        if (slice_equal(w->written[i], name)) {
            return true;
        }
    }
    return false;
}

static int add_struct(struct writer *w, const struct connect_schema *s, struct error *err)
{
    struct slice around = w->space, space, last = last_part(s->name, &space);
    if (is_written(w, s->name)) {
        return add_string(w->out, slice_equal(space, around) ? last : s->name, err);
    }
    assert(w->written_count < STRUCTS_MAX); /* Debezium has eight */
    w->written[w->written_count++] = s->name;
    buf_add_str(w->out, "{\"type\":\"record\",\"name\":");
    if (add_string(w->out, last, err)) {
        return RESULT_ERROR;
    }
    if (!slice_equal(space, around)) {
        buf_add_str(w->out, ",\"namespace\":");
        if (add_string(w->out, space, err)) {
            return RESULT_ERROR;
        }
    }
    buf_add_str(w->out, ",\"fields\":[");
    w->space = space;
    for (size_t i = 0; i < s->fields_count; i++) {
        if (i > 0) {
            buf_add_char(w->out, ',');
        }
        if (add_field(w, &s->fields[i], err)) {
            return RESULT_ERROR;
        }
    }
    w->space = around;
    buf_add_char(w->out, ']');
    if (add_attributes(w->out, s, err)) {
        return RESULT_ERROR;
    }
    buf_add_char(w->out, '}');
    return RESULT_DONE;
}

/* The type without null. */
static int add_base(struct writer *w, const struct connect_schema *s, struct error *err)
{
    switch (s->kind) {
    case CONNECT_ARRAY:
    case CONNECT_MAP:
        return add_many(w, s, err);
    case CONNECT_STRUCT:
        return add_struct(w, s, err);
    default:
        return add_primitive(w, s, err);
    }
}

/* An optional one is a union with null. The type of the default comes first, as Avro wants it. */
static int add_type(struct writer *w, const struct connect_schema *s, struct error *err)
{
    bool later = !slice_is_null(s->fallback); /* null is the second */
    if (!s->optional) {
        return add_base(w, s, err);
    }
    buf_add_str(w->out, later ? "[" : "[\"null\",");
    if (add_base(w, s, err)) {
        return RESULT_ERROR;
    }
    buf_add_str(w->out, later ? ",\"null\"]" : "]");
    return RESULT_DONE;
}

int connect_avro(struct buf *out, const struct connect_schema *s, struct error *err)
{
    struct writer w = {.out = out, .space = SLICE_LITERAL("")};
    return add_type(&w, s, err);
}
