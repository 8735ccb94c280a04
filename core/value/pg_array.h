/*
 * PostgreSQL's array text ("{1,NULL,\"a b\"}", "[0:1]={...}", nested braces), walked step by step:
 * nothing is recursive and nothing is allocated but what an escaped element needs.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

enum pg_array_step {
    PG_ARRAY_VALUE, /* an element: its text, or a null slice for NULL */
    PG_ARRAY_OPEN,  /* an inner brace opens */
    PG_ARRAY_CLOSE, /* an inner brace closes */
    PG_ARRAY_END,   /* the outer brace is closed and nothing follows */
    PG_ARRAY_FAULT  /* not the text of an array; nothing more may be asked */
};

struct pg_array {
    const char *pos, *end;
    struct buf *scratch;
    unsigned depth; /* open braces */
    char delimiter;
    bool after_value; /* a delimiter or a closing brace must come */
};

/* `delimiter` is the element type's (struct column_type). `scratch` is the caller's: elements with
 * escapes are decoded into it, valid until the next step. */
struct pg_array pg_array_walk(struct slice text, char delimiter, struct buf *scratch);

enum pg_array_step pg_array_next(struct pg_array *a, struct slice *ret_value);
