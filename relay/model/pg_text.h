/*
 * Reads the texts that PostgreSQL's output functions write. Pure; allocates only in a caller's buf.
 * One thread.
 */
#pragma once

#include "base/buf.h"
#include <stdbool.h>

/* MAXDIM of the server. */
enum { PG_ARRAY_DEPTH_MAX = 6 };

enum pg_array_step {
    PG_ARRAY_OPEN,    /* "{": a dimension begins */
    PG_ARRAY_CLOSE,   /* "}" */
    PG_ARRAY_ELEMENT, /* *ret is its text, or null */
    PG_ARRAY_END,     /* the outermost dimension is closed and nothing follows */
    PG_ARRAY_FAULT    /* this is no array's text; nothing more may be asked of it */
};

/* Walks an array as array_out writes it: `{1,NULL,"a b"}`, `{{1,2},{3,4}}`, `[0:1]={a,b}` (the
 * bounds are passed over). Nesting is right when END comes; that all rows of a dimension have the
 * same length is not looked at. */
struct pg_array {
    const char *pos, *end;
    size_t depth;
    char delimiter;
    bool begun;     /* the outermost "{" was seen */
    bool delimited; /* a delimiter was just read: an element or "{" must follow */
    bool filled;    /* something stands in this dimension: a delimiter or "}" must follow */
};

struct pg_array pg_array_from(struct slice text, char delimiter);

/* ELEMENT fills *ret: it points into the text, or, if it had to be unescaped, into `scratch`, where
 * it lives until the next call. */
enum pg_array_step pg_array_next(struct pg_array *a, struct buf *scratch, struct slice *ret);
