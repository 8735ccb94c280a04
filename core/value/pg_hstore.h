/*
 * Reads the text of the extension hstore, such as "a"=>"1", "b"=>NULL, pair by pair in the order of
 * the text.
 *
 * The text is borrowed and must stay until the end of the walk. One thread at a time.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

/* A fault: this is not the text of an hstore, and the walk must not go on. */
enum pg_hstore_step { PG_HSTORE_PAIR, PG_HSTORE_END, PG_HSTORE_FAULT };

struct pg_hstore {
    const char *pos, *end;
    bool first; /* no pair was read yet */
};

/* Begins a walk. */
struct pg_hstore pg_hstore_walk(struct slice text);

/* The next step. A pair is appended to `out` (the caller's) without quotes and escapes: first
 * *ret_key bytes of the key, then *ret_value bytes of the value. *ret_null: the value is NULL, and
 * *ret_value is 0. After a fault `out` may hold half a pair. */
enum pg_hstore_step pg_hstore_next(struct pg_hstore *h, struct buf *out, size_t *ret_key,
                                   size_t *ret_value, bool *ret_null);
