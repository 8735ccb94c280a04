/*
 * The schema of a message as Kafka Connect has it, from which the texts for a schema registry are
 * made. Debezium describes each table by such a schema, and Confluent's converters make Avro or
 * JSON Schema of it: names, versions, defaults and the type of Connect stand in it as attributes
 * (connect.name, ...), so that a reader gets back the types that were there.
 *
 * Plain structs without functions of their own; all they point to lies in the arena of who made
 * them, or is static. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

enum connect_kind {
    CONNECT_BOOLEAN,
    CONNECT_INT16,
    CONNECT_INT32,
    CONNECT_INT64,
    CONNECT_FLOAT32,
    CONNECT_FLOAT64,
    CONNECT_STRING,
    CONNECT_BYTES,
    CONNECT_ARRAY,
    CONNECT_MAP, /* of strings */
    CONNECT_STRUCT
};

struct connect_schema;

struct connect_field {
    struct slice name;
    const struct connect_schema *schema;
};

struct connect_parameter {
    const char *name;
    struct slice value;
};

enum { CONNECT_PARAMETERS = 2 };

struct connect_schema {
    enum connect_kind kind;
    bool optional;
    struct slice name; /* "io.debezium.time.Date"; null: it has none. A STRUCT has one */
    int version;       /* 0: none */
    const char *doc;   /* NULL: none */
    struct connect_parameter parameters[CONNECT_PARAMETERS];
    size_t parameters_count;
    struct slice fallback;           /* the default, as our JSON has such a value; null: none */
    const struct connect_schema *of; /* ARRAY, MAP: of what */
    const struct connect_field *fields;
    size_t fields_count;
};

/* The name of Kafka Connect's decimals; parameters `scale` and `connect.decimal.precision`. */
#define CONNECT_DECIMAL "org.apache.kafka.connect.data.Decimal"

/* Appends the schema as Avro, in the words of Confluent's Avro converter (AvroData): what Debezium
 * registers with it. A struct that comes twice stands there once and is then named. ERROR: POISON
 * for a field whose name Avro does not allow. `out` may hold a part then. */
int connect_avro(struct buf *out, const struct connect_schema *s, struct error *err) MUST_CHECK;

/* Appends it as JSON Schema (draft 7), in the words of Confluent's JSON Schema converter
 * (JsonSchemaData). ERROR: POISON for a name that is not UTF-8. */
int connect_json(struct buf *out, const struct connect_schema *s, struct error *err) MUST_CHECK;

/* Appends it in Kafka Connect's own notation, which its JSON converter puts before each payload
 * with schemas.enable=true. ERROR: POISON for a name that is not UTF-8. */
int connect_native(struct buf *out, const struct connect_schema *s, struct error *err) MUST_CHECK;
