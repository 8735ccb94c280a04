/* Encodes arrays and hstores, element by element. The pairs of an hstore come in the sequence of
 * Java's HashMap, because Debezium's do and the bytes are to be the same. */
#include "message/debezium/debezium.h"

#include "base/utf8.h"
#include "value/pg_array.h"
#include "value/pg_hstore.h"
#include <stdlib.h>

/* A comma before an element, unless it is the first one: then a [ stands before it. */
static void add_comma(struct buf *out)
{
    if (out->data[out->len - 1] != '[') {
        dbz_add_char(out, ',');
    }
}

static enum dbz_said add_element(struct dbz *d, const struct dbz_type *element, struct slice value)
{
    add_comma(d->out);
    if (slice_is_null(value)) {
        DBZ_LITERAL(d->out, "null");
        return DBZ_SAID;
    }
    return dbz_value(d, element, value);
}

enum dbz_said dbz_array(struct dbz *d, const struct dbz_type *t, struct slice text)
{
    struct dbz_type element = dbz_element_of(t);
    struct pg_array walk = pg_array_walk(text, t->type->delimiter, &d->scratch.element);
    struct slice value;
    dbz_add_char(d->out, '[');
    for (;;) {
        enum dbz_said said;
        switch (pg_array_next(&walk, &value)) {
        case PG_ARRAY_VALUE:
            said = add_element(d, &element, value);
            if (said != DBZ_SAID) {
                return said;
            }
            break;
        case PG_ARRAY_OPEN:
            add_comma(d->out);
            dbz_add_char(d->out, '[');
            break;
        case PG_ARRAY_CLOSE:
            dbz_add_char(d->out, ']');
            break;
        case PG_ARRAY_END:
            dbz_add_char(d->out, ']');
            return DBZ_SAID;
        case PG_ARRAY_FAULT:
        default:
            return DBZ_FAULT;
        }
    }
}

/* One pair of an hstore. Its text lies in scratch.pairs: the key from byte `at` on, the value right
 * behind it. `key` and `value` are lengths in bytes. */
struct pair {
    size_t at, key, value;
    /* Java's hash of the key; in_map_order cuts it down to the number of the bucket. */
    uint32_t hash;
    bool null;
};

/* Java's String.hashCode, which works on UTF-16 units, mixed as java.util.HashMap mixes it. False:
 * the key is not UTF-8. */
static bool java_hash(struct slice key, uint32_t *ret)
{
    const unsigned char *p = (const unsigned char *)key.ptr, *end = p + key.len;
    uint32_t h = 0;
    while (p < end) {
        size_t n = utf8_sequence((const char *)p, (const char *)end);
        if (n == 0) {
            return false;
        }
        uint32_t c = n == 1 ? *p : *p & (0xffu >> (n + 1));
        for (size_t i = 1; i < n; i++) {
            c = c << 6 | (p[i] & 0x3f);
        }
        if (c >= 0x10000) {
            h = h * 31 + (0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + (c & 0x3ff);
        }
        h = h * 31 + c;
        p += n;
    }
    *ret = h ^ h >> 16;
    return true;
}

/* HashMap starts with 16 buckets and doubles them whenever more than three quarters are in use.
 * Returns the number of buckets minus one, as a bit mask. */
static uint32_t bucket_mask(size_t count)
{
    uint32_t buckets = 16;
    while (count * 4 > (size_t)buckets * 3 && buckets < (UINT32_C(1) << 30)) {
        buckets *= 2;
    }
    return buckets - 1;
}

bool dbz_bucket(struct slice key, size_t count, uint32_t *ret)
{
    if (!java_hash(key, ret)) {
        return false;
    }
    *ret &= bucket_mask(count);
    return true;
}

/* Pairs of one bucket keep the sequence in which they were read. */
static int by_bucket(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Sorts the pairs as Debezium's HashMap would give them. */
static struct pair *in_map_order(struct buf *pairs, size_t *ret_count)
{
    struct pair *p = (struct pair *)(void *)pairs->data;
    size_t n = pairs->len / sizeof *p;
    uint32_t mask = bucket_mask(n);
    for (size_t i = 0; i < n; i++) {
        p[i].hash &= mask;
    }
    if (n > 1) {
        qsort(p, n, sizeof *p, by_bucket);
    }
    *ret_count = n;
    return p;
}

/* Reads all pairs: their texts into scratch.pairs, the struct pairs into scratch.bytes. */
static bool read_pairs(struct dbz *d, struct slice text)
{
    struct pg_hstore walk = pg_hstore_walk(text);
    buf_clear(&d->scratch.pairs);
    buf_clear(&d->scratch.bytes);
    for (;;) {
        struct pair p = {.at = d->scratch.pairs.len};
        switch (pg_hstore_next(&walk, &d->scratch.pairs, &p.key, &p.value, &p.null)) {
        case PG_HSTORE_PAIR:
            if (!java_hash((struct slice){buf_str(&d->scratch.pairs) + p.at, p.key}, &p.hash)) {
                return false;
            }
            buf_add(&d->scratch.bytes, &p, sizeof p);
            break;
        case PG_HSTORE_END:
            return true;
        case PG_HSTORE_FAULT:
        default:
            return false;
        }
    }
}

/* dbz_string, or dbz_inner_string for JSON inside a string. */
typedef bool add_string(struct buf *out, struct slice text);

static bool add_map(struct dbz *d, struct buf *out, add_string *add)
{
    size_t count;
    struct pair *pairs = in_map_order(&d->scratch.bytes, &count);
    const char *texts = buf_str(&d->scratch.pairs);
    dbz_add_char(out, '{');
    for (size_t i = 0; i < count; i++) {
        const struct pair *p = &pairs[i];
        if (i > 0) {
            dbz_add_char(out, ',');
        }
        if (!add(out, (struct slice){texts + p->at, p->key})) {
            return false;
        }
        dbz_add_char(out, ':');
        if (p->null) {
            DBZ_LITERAL(out, "null");
        } else if (!add(out, (struct slice){texts + p->at + p->key, p->value})) {
            return false;
        }
    }
    dbz_add_char(out, '}');
    return true;
}

enum dbz_said dbz_hstore(struct dbz *d, struct slice text)
{
    if (!read_pairs(d, text)) {
        return DBZ_FAULT;
    }
    if (d->conf->hstore == HSTORE_MAP) {
        return add_map(d, d->out, dbz_string) ? DBZ_SAID : DBZ_FAULT;
    }
    /* In an array of hstores this text was decoded in scratch.element. read_pairs has copied it, so
     * the memory is free for the map. */
    buf_clear(&d->scratch.element);
    bool ok = add_map(d, &d->scratch.element, dbz_inner_string) &&
              dbz_string(d->out, buf_slice(&d->scratch.element));
    return ok ? DBZ_SAID : DBZ_FAULT;
}
