/*
 * A schema as avro_schema_new has read it. Private to avro.c and avro_encode.c.
 */
#pragma once

#include "message/schema/avro.h"

enum avro_kind {
    AVRO_NULL,
    AVRO_BOOLEAN,
    AVRO_INT,
    AVRO_LONG,
    AVRO_FLOAT,
    AVRO_DOUBLE,
    AVRO_BYTES,
    AVRO_STRING,
    AVRO_ARRAY,
    AVRO_MAP,
    AVRO_RECORD,
    AVRO_UNION
};

struct avro_type;

struct avro_field {
    struct slice name;
    const struct avro_type *type;
    struct slice fallback; /* its default, encoded; null: it has none */
};

struct avro_type {
    enum avro_kind kind;
    const struct avro_type *of; /* ARRAY, MAP: of what; UNION: the branch that is not null */
    unsigned null_branch;       /* UNION: the number of null, 0 or 1 */
    const struct avro_field *fields;
    size_t fields_count; /* RECORD */
    bool whole;          /* RECORD: its fields are read, so that others may name it */
};

/* How bytes stand in a JSON string: base64 in values, one character for each byte in defaults. */
enum avro_bytes { AVRO_BYTES_BASE64, AVRO_BYTES_CHARACTERS };

/* The work of avro_encode for one type. `out` may hold a part of it after an error. */
int avro_put(struct buf *out, const struct avro_type *t, struct slice json, enum avro_bytes bytes,
             struct error *err) MUST_CHECK;
