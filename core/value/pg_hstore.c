/* Reads the text of an hstore exactly as the server writes it: keys and values in quotes, ", "
 * between two pairs, NULL without quotes. Any other text is a fault. */
#include "value/pg_hstore.h"

struct pg_hstore pg_hstore_walk(struct slice text)
{
    return (struct pg_hstore){text.ptr, text.ptr + text.len, true};
}

/* Exactly these bytes. */
static bool take(struct pg_hstore *h, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(h->end - h->pos) < n || memcmp(h->pos, word, n) != 0) {
        return false;
    }
    h->pos += n;
    return true;
}

/* A text in quotes, appended to `out` without its escapes. */
static bool quoted(struct pg_hstore *h, struct buf *out, size_t *ret_len)
{
    size_t start = out->len;
    if (!take(h, "\"")) {
        return false;
    }
    for (; h->pos < h->end && *h->pos != '"'; h->pos++) {
        if (*h->pos == '\\' && ++h->pos == h->end) {
            return false;
        }
        buf_add_char(out, *h->pos);
    }
    *ret_len = out->len - start;
    return take(h, "\"");
}

enum pg_hstore_step pg_hstore_next(struct pg_hstore *h, struct buf *out, size_t *ret_key,
                                   size_t *ret_value, bool *ret_null)
{
    if (h->pos == h->end) {
        return PG_HSTORE_END;
    }
    if (!h->first && !take(h, ", ")) {
        return PG_HSTORE_FAULT;
    }
    h->first = false;
    *ret_value = 0;
    if (!quoted(h, out, ret_key) || !take(h, "=>")) {
        return PG_HSTORE_FAULT;
    }
    *ret_null = take(h, "NULL");
    return *ret_null || quoted(h, out, ret_value) ? PG_HSTORE_PAIR : PG_HSTORE_FAULT;
}
