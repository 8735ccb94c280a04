/* An array's elements are what the server meant, or the text is refused. */
#include "model/pg_text.h"

struct pg_array pg_array_from(struct slice text, char delimiter)
{
    return (struct pg_array){.pos = text.ptr,
                             .end = text.ptr ? text.ptr + text.len : NULL,
                             .delimiter = delimiter ? delimiter : ','};
}

static bool bounds_char(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == ':' || c == '[' || c == ']';
}

/* "[0:1][-2:3]=" stands before an array that does not begin at 1. */
static bool skip_bounds(struct pg_array *a)
{
    if (a->pos == a->end || *a->pos != '[') {
        return true;
    }
    while (a->pos < a->end && bounds_char(*a->pos)) {
        a->pos++;
    }
    return a->pos < a->end && *a->pos++ == '=';
}

static enum pg_array_step open_dimension(struct pg_array *a)
{
    if (a->filled || a->depth == PG_ARRAY_DEPTH_MAX) {
        return PG_ARRAY_FAULT;
    }
    a->pos++;
    a->depth++;
    a->begun = true;
    a->delimited = a->filled = false;
    return PG_ARRAY_OPEN;
}

static enum pg_array_step close_dimension(struct pg_array *a)
{
    if (a->delimited) {
        return PG_ARRAY_FAULT;
    }
    a->pos++;
    a->depth--;
    a->filled = true;
    return PG_ARRAY_CLOSE;
}

static enum pg_array_step quoted(struct pg_array *a, struct buf *scratch, struct slice *ret)
{
    const char *first = ++a->pos;
    while (a->pos < a->end && *a->pos != '"' && *a->pos != '\\') {
        a->pos++;
    }
    struct slice run = {first, (size_t)(a->pos - first)};
    if (a->pos < a->end && *a->pos == '"') {
        a->pos++;
        *ret = run;
        return PG_ARRAY_ELEMENT;
    }
    buf_clear(scratch);
    buf_add_slice(scratch, run);
    while (a->pos < a->end && *a->pos != '"') {
        if (*a->pos == '\\' && ++a->pos == a->end) {
            return PG_ARRAY_FAULT;
        }
        buf_add_char(scratch, *a->pos++);
    }
    if (a->pos == a->end) {
        return PG_ARRAY_FAULT;
    }
    a->pos++;
    *ret = buf_slice(scratch);
    return PG_ARRAY_ELEMENT;
}

/* array_out quotes whatever could be taken for something else: what is bare is plain. */
static enum pg_array_step bare(struct pg_array *a, struct slice *ret)
{
    const char *first = a->pos;
    while (a->pos < a->end && *a->pos != a->delimiter && *a->pos != '}') {
        if (*a->pos == '"' || *a->pos == '\\' || *a->pos == '{') {
            return PG_ARRAY_FAULT;
        }
        a->pos++;
    }
    struct slice text = {first, (size_t)(a->pos - first)};
    if (text.len == 0) {
        return PG_ARRAY_FAULT;
    }
    *ret = slice_equal_str(text, "NULL") ? SLICE_NULL : text;
    return PG_ARRAY_ELEMENT;
}

enum pg_array_step pg_array_next(struct pg_array *a, struct buf *scratch, struct slice *ret)
{
    if (!a->begun) {
        return skip_bounds(a) && a->pos < a->end && *a->pos == '{' ? open_dimension(a)
                                                                   : PG_ARRAY_FAULT;
    }
    if (a->depth == 0) {
        return a->pos == a->end ? PG_ARRAY_END : PG_ARRAY_FAULT;
    }
    if (a->pos < a->end && *a->pos == a->delimiter) {
        if (!a->filled) {
            return PG_ARRAY_FAULT;
        }
        a->pos++;
        a->delimited = true;
        a->filled = false;
    }
    if (a->pos == a->end) {
        return PG_ARRAY_FAULT;
    }
    if (*a->pos == '{') {
        return open_dimension(a);
    }
    if (*a->pos == '}') {
        return close_dimension(a);
    }
    if (a->filled) {
        return PG_ARRAY_FAULT;
    }
    enum pg_array_step step = *a->pos == '"' ? quoted(a, scratch, ret) : bare(a, ret);
    a->filled = true;
    a->delimited = false;
    return step;
}
