/*
 * What the files of the change encoders share. Private to relay/model (and its unit tests).
 */
#pragma once

#include "model/encode.h"

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
