/* What a message looks like: the converters of Kafka Connect, the formats of Debezium Server. */
#include "cli/import/internal.h"

enum converter {
    UNKNOWN,
    JSON,
    JSON_SCHEMAS,
    TEXT,
    BYTES,
    AVRO,
    REGISTRY_JSON,
    PROTOBUF,
    CLOUDEVENTS,
    OTHER
};

/* What the name of a class or a format holds tells what it is. The first that fits counts. */
static const struct {
    const char *holds;
    enum converter is;
} kinds[] = {{"CloudEvents", CLOUDEVENTS},
             {"Avro", AVRO},
             {"Protobuf", PROTOBUF},
             {"JsonSchema", REGISTRY_JSON},
             {"ExtJson", OTHER}, /* Apicurio's own */
             {"JsonConverter", JSON},
             {"StringConverter", TEXT},
             {"simplestring", TEXT},
             {"SimpleHeader", TEXT},
             {"ByteArray", BYTES},
             {"BinaryData", BYTES},
             {"ByteBuffer", BYTES},
             {"binary", BYTES},
             {"json", JSON}};

static enum converter kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcasestr(name, kinds[i].holds)) {
            return kinds[i].is;
        }
    }
    return OTHER;
}

/* The option that says how keys, values or headers are written, and what it says. */
struct side {
    struct import_option *option;
    enum converter is;
    const char *what; /* for notes where there is no option */
};

static const char *take_schemas(struct import *im, const char *part)
{
    CLEANUP(buf_release) struct buf own = {0};
    const char *all = im->server ? import_take(im, "debezium.format.schemas.enable") : NULL;
    buf_printf(&own,
               im->server ? "debezium.format.%s.schemas.enable" : "%s.converter.schemas.enable",
               part);
    const char *value = import_take(im, buf_str(&own));
    return value ? value : all;
}

static struct side take_side(struct import *im, const char *part, const char *what)
{
    CLEANUP(buf_release) struct buf name = {0};
    struct side s = {.is = im->server ? JSON : UNKNOWN, .what = what};
    buf_printf(&name, im->server ? "debezium.format.%s" : "%s.converter", part);
    s.option = import_find(im, buf_str(&name));
    const char *value = import_take(im, buf_str(&name));
    const char *schemas = take_schemas(im, part);
    if (value) {
        s.is = kind_of(value);
    } else if (schemas) { /* only JSON has it */
        s.is = JSON;
    }
    if (s.is == JSON && !import_is(schemas, "false")) {
        s.is = JSON_SCHEMAS;
    }
    return s;
}

static void say(struct import *im, const struct side *s, const char *text)
{
    if (s->option) {
        import_note(im, DEBEZIUM_MESSAGES, s->option, "%s", text);
    } else {
        import_say(im, DEBEZIUM_MESSAGES, s->what, "%s", text);
    }
}

/* What is the same for table changes and the outbox. */
static const char *fault_of(enum converter is)
{
    switch (is) {
    case UNKNOWN:
        return "is not in this file, so it is the worker's: give the worker's file as well";
    case JSON_SCHEMAS:
        return "schemas in messages (schemas.enable=true) are for table changes in their envelope: "
               "the payload alone is sent";
    case AVRO:
    case REGISTRY_JSON:
        return "a schema registry is for table changes in their envelope: the JSON is sent";
    case PROTOBUF:
        return "Protobuf has no counterpart";
    case CLOUDEVENTS:
        return "CloudEvents here are `encode.format: cloudevents_json`, with other attributes and data "
               "than Debezium's";
    case OTHER:
        return "this converter has no counterpart";
    default:
        return NULL;
    }
}

/* Whether there are schemas of what the transforms make. */
static bool has_schemas(const struct side *s, struct import *im)
{
    bool wanted = s->is == JSON_SCHEMAS || s->is == AVRO || s->is == REGISTRY_JSON;
    return wanted && !import_has_transform(im, "ExtractNewRecordState") &&
           !import_has_transform(im, "ByLogicalTableRouter");
}

/* Keys are written as values are. */
static void schemas(struct import *im, const struct side *key, const struct side *value)
{
    const char *from = value->option ? value->option->name : value->what, *fault = NULL;
    im->described = true;
    if (value->is == JSON_SCHEMAS) {
        import_put(im, IMPORT_ENCODE, "schemas", "true", "schemas.enable=true");
    } else {
        fault = import_registry(im, value->is == AVRO ? "avro" : "json_schema", from);
    }
    if (fault) {
        say(im, value, fault);
        return;
    }
    bool column = key->is == TEXT && import_has_transform(im, "ExtractField$Key");
    if (key->is != value->is && !(column && value->is == JSON_SCHEMAS)) {
        say(im, key,
            column ? "the key is a string with a schema here, as values have one"
                   : "keys are written as values are, with a schema");
    }
}

static void changes(struct import *im, const struct side *key, const struct side *value)
{
    static const char no_json[] = "writes no JSON; here it is the JSON of Debezium's JsonConverter";
    const char *fault = fault_of(value->is);
    if (has_schemas(value, im)) {
        schemas(im, key, value);
        return;
    }
    if (fault || value->is == TEXT || value->is == BYTES) {
        say(im, value, fault ? fault : no_json);
    }
    fault = key->is == value->is ? NULL : fault_of(key->is);
    bool one_column = key->is == TEXT && import_has_transform(im, "ExtractField$Key");
    if (fault || (key->is == TEXT && !one_column) || key->is == BYTES) {
        say(im, key, fault ? fault : no_json);
    }
}

/* Whether an option of the router, whose name ends so, holds this text. */
static bool router_has(const struct import *im, const char *end, const char *text)
{
    for (size_t i = 0; i < im->options->count; i++) {
        const struct import_option *o = &im->options->items[i];
        size_t n = strlen(o->name), m = strlen(end);
        if (n > m && strcmp(o->name + n - m, end) == 0 && strcasestr(o->value, text)) {
            return true;
        }
    }
    return false;
}

/* Whether the router makes a value with a structure: JSON as a converter writes it. */
static bool expands(const struct import *im)
{
    return router_has(im, ".table.expand.json.payload", "true") ||
           router_has(im, ".table.fields.additional.placement", ":envelope");
}

static void outbox(struct import *im, const struct side *key, const struct side *value)
{
    const char *fault = fault_of(value->is);
    if (fault) {
        say(im, value, fault);
    } else if (value->is == TEXT && expands(im)) {
        say(im, value,
            "writes the value as Java shows it, Struct{...}; here it is the JSON of JsonConverter");
    } else if (value->is == JSON && !expands(im)) {
        say(im, value,
            "writes the payload as a JSON string, in quotes (as JSON with table.expand.json.payload); "
            "here it is the payload itself");
    }
    fault = fault_of(key->is);
    if (fault && key->is != value->is) {
        say(im, key, fault);
    } else if (key->is == JSON) {
        say(im, key, "writes the key in quotes; here it is the key itself");
    }
}

static void take_headers(struct import *im)
{
    struct side s = take_side(im, "header", "header.converter");
    bool quotes = s.is == JSON || s.is == JSON_SCHEMAS;
    /* Without the option Connect writes texts. The Server writes JSON, which the outbox's headers
     * show. */
    if ((s.option && s.is != TEXT && s.is != BYTES) || (im->server && im->outbox && quotes)) {
        say(im, &s,
            quotes ? "writes the values of headers in quotes; here they are texts"
                   : "values of headers are texts here");
    }
}

static const char *format_of(const struct import *im, const struct side *value)
{
    if (value->is == CLOUDEVENTS) {
        return "cloudevents_json";
    }
    return im->outbox ? "payload" : "debezium";
}

void import_format(struct import *im)
{
    struct side key = take_side(im, "key", "key.converter");
    struct side value = take_side(im, "value", "value.converter");
    im->debezium = strcmp(format_of(im, &value), "debezium") == 0;
    import_put(im, IMPORT_ENCODE, "format", format_of(im, &value), NULL);
    if (im->outbox) {
        outbox(im, &key, &value);
    } else {
        changes(im, &key, &value);
    }
    take_headers(im);
}
