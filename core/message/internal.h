/*
 * What the files of the formats share. Private to core/message (and its unit tests).
 */
#pragma once

#include "message/encode.h"

/* Debezium's JSON: the key object of these cells (nothing added when the table has no key), and the
 * envelope. Byte for byte what its JSON converter without schemas writes; docs/DEBEZIUM.md. */
int debezium_key(const struct encode_conf *conf, const struct change *c, const struct cell *cells,
                 struct buf *out, struct error *err) MUST_CHECK;
int debezium_value(const struct encode_conf *conf, const struct change *c, struct buf *out,
                   struct error *err) MUST_CHECK;

/* Plain JSON: numbers as numbers, json embedded, arrays as arrays, the rest as text. */
int flat_key(const struct encode_conf *conf, const struct change *c, const struct cell *cells,
             struct buf *out, struct error *err) MUST_CHECK;
int flat_value(const struct encode_conf *conf, const struct change *c, struct buf *out,
               struct error *err) MUST_CHECK;
void flat_shape(const struct encode_conf *conf, struct change_shape *ret);

struct json_members;

/* What is wrong with a headers column that is not a JSON object: POISON with the place. */
int encode_headers_refused(const struct json_members *at, struct error *err);

/* JSON text that json_check let through, with line breaks as blanks. */
void encode_json_one_line(struct buf *out, struct slice json);

/* Adds "a, b or c" with `last` "or". */
void encode_add_words(struct buf *out, const char *const *words, size_t n, const char *last);
