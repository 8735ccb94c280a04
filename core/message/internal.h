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

/* Appends the payload, which is not null, to the empty `out` as Debezium's outbox router writes it
 * with expanded JSON (encode.expand_json). On an error `out` may hold an unfinished text. */
int dbz_expand_payload(const struct event *e, struct buf *out, struct error *err) MUST_CHECK;

struct json_members;

/* Fills *err for a headers column that is not a JSON object: POISON, with the place in bytes where
 * `at` stopped. Always returns RESULT_ERROR. */
int encode_headers_refused(const struct json_members *at, struct error *err);

/* Appends JSON text with line breaks replaced by blanks. json_check must have accepted it: in valid
 * JSON a line break stands only between tokens, so the meaning stays the same. */
void encode_json_one_line(struct buf *out, struct slice json);

/* Appends n words for an error text: "a, b or c" when `last` is "or". */
void encode_add_words(struct buf *out, const char *const *words, size_t n, const char *last);
