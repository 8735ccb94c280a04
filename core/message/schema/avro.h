/*
 * Avro: reads a schema, and writes values in its binary encoding (Avro 1.11, "Binary encoding").
 * The values come as JSON, as the formats make them for a message without a schema: so what a value
 * is, is decided in one place, and a dead letter that was edited can be written again. Bytes stand
 * there as base64, NaN and the infinities as strings. Example: with the schema
 * {"type":"record","name":"Key","fields":[{"name":"id","type":"long"}]} the text {"id":-1} becomes
 * the single byte 01.
 *
 * Why not libavro-c: a union or a default costs several calls of it for each value, it allocates
 * for each of them, it does not know logical types, and its errors are one text per process. What
 * is needed here are varints and lengths.
 *
 * Not known: enum and fixed, which nothing here writes; unions but of null and one type more; types
 * that hold themselves. avro_schema_new refuses them.
 *
 * A schema never changes once it is made: any thread may use it. Memory running out aborts.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

struct avro_schema;

/* Reads the JSON text of a schema. DONE: *ret is the caller's. ERROR: CONFIG, the text is no
 * schema, or one that is not known here. */
int avro_schema_new(struct slice text, struct avro_schema **ret, struct error *err) MUST_CHECK;
void avro_schema_free(struct avro_schema *s); /* NULL is fine */

/* Appends the value of the JSON text. A member that is missing becomes the field's default. ERROR:
 * POISON with the path of the member that does not fit: it has another type, is null and may not
 * be, is missing without a default, or the schema does not have it. `out` is then as it was. */
int avro_encode(const struct avro_schema *s, struct slice json, struct buf *out,
                struct error *err) MUST_CHECK;

/* Appends a number as int and long are written: zigzag, then seven bits a byte, the lowest first.
 */
void avro_put_long(struct buf *out, int64_t v);
