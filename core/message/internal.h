/*
 * What the files of core/message share. Private to this folder.
 *
 * As in format.h: the functions append to `out`, return RESULT_DONE or RESULT_ERROR (POISON), and
 * run on the pipeline's thread. The parameters are those of struct format_ops.
 */
#pragma once

#include "message/encode.h"

/* The flat row: one JSON object with the columns and our own members. Numbers and booleans stay
 * such, json is embedded, arrays are JSON arrays, the rest is text. Several formats use it. On an
 * error `out` may hold an unfinished text. */
int flat_key(const struct encode_conf *conf, const struct change *c, const struct cell *cells,
             struct buf *out, struct error *err) MUST_CHECK;
int flat_value(const struct encode_conf *conf, const struct change *c, struct buf *out,
               struct error *err) MUST_CHECK;
void flat_shape(const struct encode_conf *conf, struct change_shape *ret);

/* What the flat row takes of Debezium's format where it is written with a schema: the values that
 * Debezium's types have. dbz_flat_key appends its key object, nothing for a table without a key;
 * dbz_flat_row the members of the row, each with a comma behind it. On an error `out` may hold an
 * unfinished text. */
int dbz_flat_key(const struct encode_conf *conf, const struct change *c, const struct cell *cells,
                 struct buf *out, struct error *err) MUST_CHECK;
int dbz_flat_row(const struct encode_conf *conf, const struct change *c, const struct cell *cells,
                 struct buf *out, struct error *err) MUST_CHECK;

/* The schemas of keys and values of a table, or of logical messages (`table` NULL), in `arena`.
 * *ret_key is NULL for a table without a key. `flat`: the value is a flat row and not an envelope.
 * All names are taken: characters that Avro does not allow in the name of a schema become "_", as
 * with Debezium's schema.name.adjustment.mode=avro. */
void dbz_schemas(const struct encode_conf *conf, const struct change_table *table, bool flat,
                 struct arena *arena, const struct connect_schema **ret_key,
                 const struct connect_schema **ret_value);

/* Appends the payload, which is not null, to the empty `out` as Debezium's outbox router writes it
 * with expanded JSON (encode.expand_json). On an error `out` may hold an unfinished text. */
int dbz_expand_payload(const struct event *e, struct buf *out, struct error *err) MUST_CHECK;

/* Appends text as a JSON string, and bytes as conf->binary says, in quotes, as Kafka Connect's JSON
 * converter does. False: text that is not UTF-8. */
bool dbz_payload_string(const struct encode_conf *conf, const struct event *e, struct buf *out);

/* Whether a payload is nothing but blanks, by Java's trim(), which takes away all up to the blank.
 */
bool encode_is_blank(struct slice text);

struct json_members;

/* Fills *err for a headers column that is not a JSON object: POISON, with the place in bytes where
 * `at` stopped. Always returns RESULT_ERROR. */
int encode_headers_refused(const struct json_members *at, struct error *err);

/* Appends JSON text with line breaks replaced by blanks. json_check must have accepted it: in valid
 * JSON a line break stands only between tokens, so the meaning stays the same. */
void encode_json_one_line(struct buf *out, struct slice json);

/* Appends n words for an error text: "a, b or c" when `last` is "or". */
void encode_add_words(struct buf *out, const char *const *words, size_t n, const char *last);
