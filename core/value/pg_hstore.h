/*
 * hstore's text ("a"=>"1", "b"=>NULL), pair by pair, in the order of the text.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

enum pg_hstore_step { PG_HSTORE_PAIR, PG_HSTORE_END, PG_HSTORE_FAULT };

struct pg_hstore {
    const char *pos, *end;
    bool first;
};

struct pg_hstore pg_hstore_walk(struct slice text);

/* A pair is appended to `out`, decoded: first the key, then the value; the lengths tell them apart.
 * *ret_null: the value is NULL. */
enum pg_hstore_step pg_hstore_next(struct pg_hstore *h, struct buf *out, size_t *ret_key,
                                   size_t *ret_value, bool *ret_null);
