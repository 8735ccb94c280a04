/*
 * What the files of the change encoders share. Private to core/message (and its unit tests).
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

struct json_members;

/* What is wrong with a headers column that is not a JSON object: POISON with the place. */
int encode_headers_refused(const struct json_members *at, struct error *err);

/* JSON text that json_check let through, with line breaks as blanks. */
void encode_json_one_line(struct buf *out, struct slice json);

/* CloudEvents 1.0 over Kafka. Binary mode: the attributes and the content type as headers of the
 * message; `out` has room for CLOUDEVENTS_HEADERS_MAX. Structured mode: the whole event as JSON.
 * POISON for an event without a type, and for what no attribute may hold. */
enum { CLOUDEVENTS_HEADERS_MAX = 8 };
int cloudevents_headers(const struct encode_conf *conf, const struct event *e, struct arena *arena,
                        struct header *out, size_t *ret_count, struct error *err) MUST_CHECK;
int cloudevents_value(const struct encode_conf *conf, const struct event *e, struct arena *arena,
                      struct buf *out, struct error *err) MUST_CHECK;
#define CLOUDEVENTS_JSON_TYPE "application/cloudevents+json; charset=UTF-8"
