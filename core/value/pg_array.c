/* Reads the text of a PostgreSQL array. Example: {a,"NULL",NULL,"x\"y"} has four elements: a, the
 * text NULL, a null, and x"y. Only an element without quotes can be null, so quoted and bare ones
 * are read by two functions. */
#include "value/pg_array.h"

/* "[0:1][1:3]=" in front of the opening brace. */
static void skip_bounds(struct pg_array *a)
{
    if (a->pos < a->end && *a->pos == '[') {
        const char *equals = memchr(a->pos, '=', (size_t)(a->end - a->pos));
        a->pos = equals ? equals + 1 : a->end;
    }
}

struct pg_array pg_array_walk(struct slice text, char delimiter, struct buf *scratch)
{
    struct pg_array a = {text.ptr, text.ptr + text.len, scratch, 0, delimiter, false};
    skip_bounds(&a);
    if (a.pos < a.end && *a.pos == '{') {
        a.pos++;
        a.depth = 1;
    }
    return a;
}

/* An element in quotes. Without escapes it points into the text, else it is decoded into scratch.
 */
static enum pg_array_step quoted(struct pg_array *a, struct slice *ret_value)
{
    const char *start = ++a->pos;
    while (a->pos < a->end && *a->pos != '"' && *a->pos != '\\') {
        a->pos++;
    }
    *ret_value = (struct slice){start, (size_t)(a->pos - start)};
    if (a->pos < a->end && *a->pos == '\\') {
        buf_clear(a->scratch);
        buf_add_slice(a->scratch, *ret_value);
        while (a->pos < a->end && *a->pos != '"') {
            a->pos += *a->pos == '\\';
            if (a->pos == a->end) {
                return PG_ARRAY_FAULT;
            }
            buf_add_char(a->scratch, *a->pos++);
        }
        *ret_value = buf_slice(a->scratch);
    }
    if (a->pos == a->end) {
        return PG_ARRAY_FAULT;
    }
    a->pos++;
    return PG_ARRAY_VALUE;
}

/* An element without quotes. It is never empty: the server puts quotes around an empty text. */
static enum pg_array_step bare(struct pg_array *a, struct slice *ret_value)
{
    const char *start = a->pos;
    while (a->pos < a->end && *a->pos != a->delimiter && *a->pos != '}' && *a->pos != '{' &&
           *a->pos != '"') {
        a->pos++;
    }
    *ret_value = (struct slice){start, (size_t)(a->pos - start)};
    if (ret_value->len == 0) {
        return PG_ARRAY_FAULT;
    }
    if (slice_equal_str(*ret_value, "NULL")) {
        *ret_value = SLICE_NULL;
    }
    return PG_ARRAY_VALUE;
}

static enum pg_array_step close_brace(struct pg_array *a)
{
    a->pos++;
    a->after_value = true;
    if (--a->depth > 0) {
        return PG_ARRAY_CLOSE;
    }
    return a->pos == a->end ? PG_ARRAY_END : PG_ARRAY_FAULT;
}

enum pg_array_step pg_array_next(struct pg_array *a, struct slice *ret_value)
{
    *ret_value = SLICE_NULL;
    if (a->depth == 0 || a->pos == a->end) {
        return PG_ARRAY_FAULT;
    }
    if (*a->pos == '}') {
        return close_brace(a);
    }
    if (a->after_value) {
        if (*a->pos != a->delimiter || ++a->pos == a->end) {
            return PG_ARRAY_FAULT;
        }
        a->after_value = false;
    }
    if (*a->pos == '{') {
        a->pos++;
        a->depth++;
        return PG_ARRAY_OPEN;
    }
    a->after_value = true;
    return *a->pos == '"' ? quoted(a, ret_value) : bare(a, ret_value);
}
