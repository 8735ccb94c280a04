/* Reads the JSON that Kafka Connect takes. */
#include "cli/import/options.h"
#include <jansson.h>
#include <stdio.h>

static void json_release(json_t **j)
{
    json_decref(*j);
}

static int set_value(struct import_options *options, const char *file, const char *name,
                     const json_t *value, struct error *err)
{
    char number[64];
    struct slice text;
    if (json_is_null(value)) {
        return RESULT_DONE;
    }
    if (json_is_string(value)) {
        text = (struct slice){json_string_value(value), json_string_length(value)};
    } else if (json_is_boolean(value)) {
        text = slice_from(json_is_true(value) ? "true" : "false");
    } else if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        text = slice_from(number);
    } else if (json_is_real(value)) {
        snprintf(number, sizeof number, "%g", json_real_value(value));
        text = slice_from(number);
    } else {
        return error_set(err, ERROR_CONFIG, "import",
                         "%s: `%s` is a list or an object; an option is a text, a number, true or "
                         "false. One connector a file: its own JSON, as {\"name\": ..., "
                         "\"config\": {...}}",
                         file, name);
    }
    import_set(options, slice_from(name), text);
    return RESULT_DONE;
}

static int set_all(struct import_options *options, const char *file, json_t *object,
                   struct error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (set_value(options, file, name, value, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

int import_read_json(struct import_options *options, const char *file, struct slice text,
                     struct error *err)
{
    json_error_t fault;
    CLEANUP(json_release) json_t *whole = json_loadb(text.ptr, text.len, 0, &fault);
    if (!whole) {
        return error_set(err, ERROR_CONFIG, "import", "%s:%d: is no JSON from here on", file,
                         fault.line);
    }
    if (!json_is_object(whole)) {
        return error_set(err, ERROR_CONFIG, "import",
                         "%s: is no JSON object; give one connector: {\"name\": ..., \"config\": "
                         "{...}}",
                         file);
    }
    json_t *config = json_object_get(whole, "config");
    if (!json_is_object(config)) {
        return set_all(options, file, whole, err);
    }
    const json_t *name = json_object_get(whole, "name");
    if (json_is_string(name)) {
        import_set(options, SLICE_LITERAL("name"), slice_from(json_string_value(name)));
    }
    return set_all(options, file, config, err);
}
