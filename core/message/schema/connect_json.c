/* Writes a schema of Kafka Connect as JSON Schema: `title` is its name, connect.index the place of
 * a field, and an optional type is oneOf null and the type. */
#include "message/schema/connect.h"

#include "message/encode.h"

enum { NO_INDEX = -1 };

static int add_string(struct buf *out, struct slice text, struct error *err)
{
    if (!encode_json_string(out, text)) {
        return error_set(err, ERROR_POISON, "encode",
                         "%.*s is not UTF-8, which a schema needs; rename it", SLICE_FMT(text));
    }
    return RESULT_DONE;
}

/* The type in JSON, and the one in Kafka Connect where JSON has fewer; NULL: it is the same. */
static const char *json_type(const struct connect_schema *s, const char **ret_connect)
{
    static const struct {
        const char *json, *connect;
    } types[] = {
        [CONNECT_BOOLEAN] = {"boolean", NULL},     [CONNECT_INT16] = {"integer", "int16"},
        [CONNECT_INT32] = {"integer", "int32"},    [CONNECT_INT64] = {"integer", "int64"},
        [CONNECT_FLOAT32] = {"number", "float32"}, [CONNECT_FLOAT64] = {"number", "float64"},
        [CONNECT_STRING] = {"string", NULL},       [CONNECT_BYTES] = {"string", "bytes"},
        [CONNECT_ARRAY] = {"array", NULL},         [CONNECT_MAP] = {"object", "map"},
        [CONNECT_STRUCT] = {"object", NULL},
    };
    *ret_connect = types[s->kind].connect;
    return types[s->kind].json;
}

static int add_type(struct buf *out, const struct connect_schema *s, int index, struct error *err);

static int add_properties(struct buf *out, const struct connect_schema *s, struct error *err)
{
    buf_add_str(out, ",\"properties\":{");
    for (size_t i = 0; i < s->fields_count; i++) {
        if (i > 0) {
            buf_add_char(out, ',');
        }
        if (add_string(out, s->fields[i].name, err)) {
            return RESULT_ERROR;
        }
        buf_add_char(out, ':');
        if (add_type(out, s->fields[i].schema, (int)i, err)) {
            return RESULT_ERROR;
        }
    }
    buf_add_char(out, '}');
    return RESULT_DONE;
}

static int add_parts(struct buf *out, const struct connect_schema *s, struct error *err)
{
    if (s->kind == CONNECT_STRUCT) {
        return add_properties(out, s, err);
    }
    if (s->kind == CONNECT_ARRAY || s->kind == CONNECT_MAP) {
        buf_add_str(out, s->kind == CONNECT_ARRAY ? ",\"items\":" : ",\"additionalProperties\":");
        return add_type(out, s->of, NO_INDEX, err);
    }
    return RESULT_DONE;
}

static int add_attributes(struct buf *out, const struct connect_schema *s, struct error *err)
{
    if (!slice_is_null(s->name)) {
        buf_add_str(out, ",\"title\":");
        if (add_string(out, s->name, err)) {
            return RESULT_ERROR;
        }
    }
    if (s->doc) {
        buf_printf(out, ",\"description\":\"%s\"", s->doc);
    }
    if (s->version > 0) {
        buf_printf(out, ",\"connect.version\":%d", s->version);
    }
    for (size_t i = 0; i < s->parameters_count; i++) {
        buf_add_str(out, i == 0 ? ",\"connect.parameters\":{" : ",");
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

static int add_base(struct buf *out, const struct connect_schema *s, int index, struct error *err)
{
    const char *connect, *type = json_type(s, &connect);
    /* Confluent's converter calls a decimal a number, although its value is base64 text. A
     * validator would refuse each message, so here it is what it is. */
    buf_printf(out, "{\"type\":\"%s\"", type);
    if (connect) {
        buf_printf(out, ",\"connect.type\":\"%s\"", connect);
    }
    if (index != NO_INDEX) {
        buf_printf(out, ",\"connect.index\":%d", index);
    }
    if (add_attributes(out, s, err) || add_parts(out, s, err)) {
        return RESULT_ERROR;
    }
    buf_add_char(out, '}');
    return RESULT_DONE;
}

static int add_type(struct buf *out, const struct connect_schema *s, int index, struct error *err)
{
    if (!s->optional) {
        return add_base(out, s, index, err);
    }
    buf_add_str(out, "{\"oneOf\":[{\"type\":\"null\"},");
    if (add_base(out, s, NO_INDEX, err)) {
        return RESULT_ERROR;
    }
    buf_add_char(out, ']');
    if (index != NO_INDEX) {
        buf_printf(out, ",\"connect.index\":%d", index);
    }
    buf_add_char(out, '}');
    return RESULT_DONE;
}

int connect_json(struct buf *out, const struct connect_schema *s, struct error *err)
{
    size_t start = out->len;
    if (add_type(out, s, NO_INDEX, err)) {
        return RESULT_ERROR;
    }
    /* Apicurio takes a schema without properties only if it says what it is. */
    if (s->kind != CONNECT_STRUCT) {
        CLEANUP(buf_release) struct buf rest = {0};
        buf_add(&rest, out->data + start + 1, out->len - start - 1);
        buf_truncate(out, start);
        buf_add_str(out, "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",");
        buf_add_slice(out, buf_slice(&rest));
    }
    return RESULT_DONE;
}
