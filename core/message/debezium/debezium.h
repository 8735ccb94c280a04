/*
 * What the files of the Debezium encoder share. Private to this folder.
 *
 * A value is said, or passed over (JSON null, where Debezium itself has no word for it), or it is
 * not what its type's output function writes: a fault.
 */
#pragma once

#include "message/encode.h"
#include "value/pg_time.h"

enum dbz_kind {
    DBZ_OMIT, /* Debezium has no schema for the type: the field is not there */
    DBZ_NULL, /* it has one, and no value ever fits it */
    DBZ_BOOL,
    DBZ_INTEGER,
    DBZ_FLOAT4,
    DBZ_FLOAT8,
    DBZ_NUMERIC,
    DBZ_MONEY,
    DBZ_STRING,
    DBZ_BYTES,
    DBZ_BITS,
    DBZ_DATE,
    DBZ_TIME,
    DBZ_TIMETZ,
    DBZ_TIMESTAMP,
    DBZ_TIMESTAMPTZ,
    DBZ_INTERVAL,
    DBZ_POINT,
    DBZ_HSTORE,
    DBZ_ARRAY
};

struct dbz_type {
    enum dbz_kind kind;
    int32_t typmod; /* a domain's own where it has one */
    uint32_t oid;   /* behind domains */
    bool element;   /* of an array */
    const struct column_type *type;
};

struct dbz_type dbz_type_of(const struct column_type *type, int32_t typmod);
struct dbz_type dbz_element_of(const struct dbz_type *array);

enum dbz_said { DBZ_SAID, DBZ_NO_WORD, DBZ_FAULT };

/* Memory for values that have escapes; one for each level: arrays, hstore, what is left. */
struct dbz_scratch {
    struct buf element, pairs, bytes;
};
void dbz_scratch_release(struct dbz_scratch *s);

struct dbz {
    const struct encode_conf *conf;
    struct dbz_scratch scratch;
    struct buf *out;
};

/* The JSON of one value. On anything but SAID what was added is to be taken away again. */
enum dbz_said dbz_value(struct dbz *d, const struct dbz_type *t, struct slice text);

enum dbz_said dbz_integer(struct buf *out, struct slice text);
enum dbz_said dbz_double(struct buf *out, struct slice text, bool single);
enum dbz_said dbz_numeric(struct dbz *d, const struct dbz_type *t, struct slice text);
enum dbz_said dbz_money(struct dbz *d, struct slice text);
enum dbz_said dbz_bytes(struct dbz *d, struct slice text);
enum dbz_said dbz_bits(struct dbz *d, const struct dbz_type *t, struct slice text);
enum dbz_said dbz_time(struct dbz *d, const struct dbz_type *t, struct slice text);
enum dbz_said dbz_interval(struct dbz *d, struct slice text);
enum dbz_said dbz_point(struct dbz *d, struct slice text);
enum dbz_said dbz_array(struct dbz *d, const struct dbz_type *t, struct slice text);
enum dbz_said dbz_hstore(struct dbz *d, struct slice text);

/* Raw bytes as the binary option has them. */
void dbz_binary(struct dbz *d, struct slice bytes);
void dbz_base64(struct buf *out, struct slice bytes); /* with quotes */
void dbz_u64(struct buf *out, uint64_t v);
void dbz_i64(struct buf *out, int64_t v);

/* A JSON string as Jackson writes it into bytes: \b \f \n \r \t, \u00XX with capitals, and a
 * character beyond U+FFFF as its two surrogates, \uD83D\uDE00; nothing else escaped. False, and
 * nothing added, if the text is not UTF-8. */
bool dbz_string(struct buf *out, struct slice text);
/* As it writes it into a text, for JSON within a string: such a character stands for itself. */
bool dbz_inner_string(struct buf *out, struct slice text);

/* What stands for a TOAST value that was not sent. */
enum dbz_said dbz_unavailable(struct dbz *d, const struct dbz_type *t);

/* Debezium gives a null column the value of its default expression as far as it understands that.
 * NO_WORD: it does not. */
enum dbz_said dbz_default(struct dbz *d, const struct dbz_type *t, struct slice expression);

/* The value of a column that is not null and was not sent (an old row of which only the key is
 * known). */
enum dbz_said dbz_fallback(struct dbz *d, const struct dbz_type *t);

/* buf_add without its call where the room is there: most of a message is short pieces. */
static inline void dbz_add(struct buf *out, const char *bytes, size_t n)
{
    if (out->cap - out->len <= n) {
        buf_reserve(out, n + 512);
    }
    memcpy(out->data + out->len, bytes, n);
    out->len += n;
    out->data[out->len] = '\0';
}

static inline void dbz_add_char(struct buf *out, char c)
{
    dbz_add(out, &c, 1);
}

#define DBZ_LITERAL(out, s) dbz_add(out, "" s, sizeof(s) - 1)

static inline void dbz_truncate(struct buf *out, size_t len)
{
    out->len = len;
    if (out->data) {
        out->data[len] = '\0';
    }
}
