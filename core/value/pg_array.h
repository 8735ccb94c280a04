/*
 * Reads PostgreSQL's text of an array, step by step (manual, section 8.15.6). Example:
 * {1,NULL,"a b"} gives the values 1, null and "a b", then PG_ARRAY_END. Inner braces of an array
 * with more dimensions are steps of their own. Bounds in front, as in [0:1]={1,2}, are skipped.
 *
 * Values point into the text, or into `scratch` if they have escapes; both are the caller's. One
 * thread at a time. Nothing recurses, and memory running out aborts (base/buf.h).
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

enum pg_array_step {
    PG_ARRAY_VALUE, /* an element: its text, or a null slice for NULL */
    PG_ARRAY_OPEN,  /* an inner brace opens */
    PG_ARRAY_CLOSE, /* an inner brace closes */
    PG_ARRAY_END,   /* the outer brace is closed and nothing follows */
    PG_ARRAY_FAULT  /* not the text of an array; the walk must not go on */
};

struct pg_array {
    const char *pos, *end;
    struct buf *scratch;
    unsigned depth; /* open braces */
    char delimiter;
    bool after_value; /* a delimiter or a closing brace has to come next */
};

/* Begins a walk. `delimiter` separates the elements: column_type.delimiter. `text` and `scratch`
 * must stay until its end. */
struct pg_array pg_array_walk(struct slice text, char delimiter, struct buf *scratch);

/* The next step. *ret_value is set for PG_ARRAY_VALUE and null for all others; it is valid until
 * the next step. After PG_ARRAY_END and PG_ARRAY_FAULT it must not be called again. */
enum pg_array_step pg_array_next(struct pg_array *a, struct slice *ret_value);
