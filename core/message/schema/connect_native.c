/* Writes a schema of Kafka Connect as its JSON converter does (JsonConverter.asJsonSchema). The
 * sequence of members is that of the converter. */
#include "message/schema/connect.h"

#include "message/encode.h"

static int add_string(struct buf *out, struct slice text, struct error *err)
{
    if (!encode_json_string(out, text)) {
        return error_set(err, ERROR_POISON, "encode",
                         "%.*s is not UTF-8, which a schema needs; rename it", SLICE_FMT(text));
    }
    return RESULT_DONE;
}

/* `field`: the name of the field that has this type; null: it is none. */
static int add_type(struct buf *out, const struct connect_schema *s, struct slice field,
                    struct error *err);

static int add_parts(struct buf *out, const struct connect_schema *s, struct error *err)
{
    switch (s->kind) {
    case CONNECT_MAP:
        buf_add_str(out, ",\"keys\":{\"type\":\"string\",\"optional\":false},\"values\":");
        return add_type(out, s->of, SLICE_NULL, err);
    case CONNECT_ARRAY:
        buf_add_str(out, ",\"items\":");
        return add_type(out, s->of, SLICE_NULL, err);
    case CONNECT_STRUCT:
        buf_add_str(out, ",\"fields\":[");
        for (size_t i = 0; i < s->fields_count; i++) {
            buf_add_str(out, i > 0 ? "," : "");
            if (add_type(out, s->fields[i].schema, s->fields[i].name, err)) {
                return RESULT_ERROR;
            }
        }
        buf_add_char(out, ']');
        return RESULT_DONE;
    default:
        return RESULT_DONE;
    }
}

static int add_attributes(struct buf *out, const struct connect_schema *s, struct error *err)
{
    if (!slice_is_null(s->name)) {
        buf_add_str(out, ",\"name\":");
        if (add_string(out, s->name, err)) {
            return RESULT_ERROR;
        }
    }
    if (s->version > 0) {
        buf_printf(out, ",\"version\":%d", s->version);
    }
    if (s->doc) {
        buf_printf(out, ",\"doc\":\"%s\"", s->doc);
    }
    for (size_t i = 0; i < s->parameters_count; i++) {
        buf_add_str(out, i == 0 ? ",\"parameters\":{" : ",");
        buf_printf(out, "\"%s\":", s->parameters[i].name);
        if (add_string(out, s->parameters[i].value, err)) {
            return RESULT_ERROR;
        }
    }
    buf_add_str(out, s->parameters_count > 0 ? "}" : "");
    if (!slice_is_null(s->fallback)) {
        buf_add_str(out, ",\"default\":");
        buf_add_slice(out, s->fallback);
    }
    return RESULT_DONE;
}

static int add_type(struct buf *out, const struct connect_schema *s, struct slice field,
                    struct error *err)
{
    static const char *const types[] = {
        [CONNECT_BOOLEAN] = "boolean", [CONNECT_INT16] = "int16",   [CONNECT_INT32] = "int32",
        [CONNECT_INT64] = "int64",     [CONNECT_FLOAT32] = "float", [CONNECT_FLOAT64] = "double",
        [CONNECT_STRING] = "string",   [CONNECT_BYTES] = "bytes",   [CONNECT_ARRAY] = "array",
        [CONNECT_MAP] = "map",         [CONNECT_STRUCT] = "struct"};
    buf_printf(out, "{\"type\":\"%s\"", types[s->kind]);
    if (add_parts(out, s, err)) {
        return RESULT_ERROR;
    }
    buf_printf(out, ",\"optional\":%s", s->optional ? "true" : "false");
    if (add_attributes(out, s, err)) {
        return RESULT_ERROR;
    }
    if (!slice_is_null(field)) {
        buf_add_str(out, ",\"field\":");
        if (add_string(out, field, err)) {
            return RESULT_ERROR;
        }
    }
    buf_add_char(out, '}');
    return RESULT_DONE;
}

int connect_native(struct buf *out, const struct connect_schema *s, struct error *err)
{
    return add_type(out, s, SLICE_NULL, err);
}
