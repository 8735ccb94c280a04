/*
 * What the files of the Debezium encoder share. Private to this folder.
 *
 * Each function turns one value, given as PostgreSQL prints it, into JSON that is appended to `out`
 * or d->out. There are three outcomes, enum dbz_said. After any but DBZ_SAID an unfinished piece
 * may have been appended; the caller cuts it off with buf_truncate. The functions keep no state but
 * struct dbz, so one thread at a time may use one.
 */
#pragma once

#include "message/encode.h"
#include "value/pg_time.h"

/* How a type is encoded. It follows from the type alone (dbz_type_of). */
enum dbz_kind {
    DBZ_OMIT, /* Debezium has no schema for the type: the field is left out of the row */
    DBZ_NULL, /* Debezium has a schema, but no value ever fits it: the field is null */
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

/* A column's type as the encoder sees it. `type` is borrowed from the change. */
struct dbz_type {
    enum dbz_kind kind;
    int32_t typmod; /* for a domain the one that it gives itself; -1: none */
    uint32_t oid;   /* of the base type, with domains resolved */
    bool element;   /* it is the type of an array's elements */
    const struct column_type *type;
};

/* The type of a column with this type modifier, and the type of the elements of a DBZ_ARRAY. */
struct dbz_type dbz_type_of(const struct column_type *type, int32_t typmod);
struct dbz_type dbz_element_of(const struct dbz_type *array);

/* What became of a value. SAID: its JSON was appended. NO_WORD: Debezium cannot express it, and the
 * caller falls back to the default or null. FAULT: the text is not one that the type's output
 * function writes, or not UTF-8, and the event is poison. */
enum dbz_said { DBZ_SAID, DBZ_NO_WORD, DBZ_FAULT };

/* Memory for decoded values; it is kept from value to value of one message. There is one for each
 * level, because an array of hstores needs all three at once: `element` holds an element of the
 * array, `pairs` the texts of the hstore in it, `bytes` the list of its pairs. Other types use
 * `bytes` only. */
struct dbz_scratch {
    struct buf element, pairs, bytes;
};
/* Frees its memory. */
void dbz_scratch_release(struct dbz_scratch *s);

/* What encoding one message needs. `conf` and `out` are borrowed. */
struct dbz {
    const struct encode_conf *conf;
    struct dbz_scratch scratch;
    struct buf *out;
};

/* Appends the JSON of one value of any type. `text` must not be null. */
enum dbz_said dbz_value(struct dbz *d, const struct dbz_type *t, struct slice text);

/* The same for one kind of types each. `single`: the value is a float4, so fewer digits identify
 * it. */
enum dbz_said dbz_integer(struct buf *out, struct slice text);
enum dbz_said dbz_double(struct buf *out, struct slice text, bool single);
enum dbz_said dbz_numeric(struct dbz *d, const struct dbz_type *t, struct slice text);
/* Precision and scale that a type modifier declares; false: none. */
bool dbz_numeric_size(int32_t typmod, unsigned *ret_precision, unsigned *ret_scale);
enum dbz_said dbz_money(struct dbz *d, struct slice text);
enum dbz_said dbz_bytes(struct dbz *d, struct slice text);
enum dbz_said dbz_bits(struct dbz *d, const struct dbz_type *t, struct slice text);
enum dbz_said dbz_time(struct dbz *d, const struct dbz_type *t, struct slice text);
/* Whether a time or timestamp of this type is sent in milliseconds. */
bool dbz_in_millis(const struct encode_conf *conf, const struct dbz_type *t);
enum dbz_said dbz_interval(struct dbz *d, struct slice text);
enum dbz_said dbz_point(struct dbz *d, struct slice text);
enum dbz_said dbz_array(struct dbz *d, const struct dbz_type *t, struct slice text);
enum dbz_said dbz_hstore(struct dbz *d, struct slice text);

/* Appends raw bytes as a JSON string, in the encoding of the `binary` option. */
void dbz_binary(struct dbz *d, struct slice bytes);
void dbz_base64(struct buf *out, struct slice bytes); /* bytes as base64, with the quotes */
/* Append a whole number in decimal. */
void dbz_u64(struct buf *out, uint64_t v);
void dbz_i64(struct buf *out, int64_t v);

/* Appends a JSON string exactly as Jackson, the JSON library of Kafka Connect, writes it into
 * bytes: \b \f \n \r \t, other control characters as \u00XX with capital digits, a character beyond
 * U+FFFF as its two surrogates, \uD83D\uDE00, and nothing else escaped. Returns false, with nothing
 * appended, if the text is not UTF-8. */
bool dbz_string(struct buf *out, struct slice text);
/* The same for JSON inside a JSON string. There Jackson leaves a character beyond U+FFFF as it is.
 */
bool dbz_inner_string(struct buf *out, struct slice text);

/* Appends what stands for a TOAST value that the server did not send: the placeholder, in the JSON
 * type of the column. NO_WORD where no value of that type can stand for it. */
enum dbz_said dbz_unavailable(struct dbz *d, const struct dbz_type *t);

/* Debezium sends the default of a column in place of null, as far as it understands the default's
 * expression. Appends that value. NO_WORD: Debezium does not understand it. */
enum dbz_said dbz_default(struct dbz *d, const struct dbz_type *t, struct slice expression);

/* Appends the empty value of the type (0, "", []), as Debezium does for a column that is not null
 * and was not sent: in an old row only the key is known. */
enum dbz_said dbz_fallback(struct dbz *d, const struct dbz_type *t);

/* --- envelope.c --- */

/* Appends the envelope of a change or of a logical message. POISON: a value cannot be encoded. */
int dbz_envelope(struct dbz *d, const struct change *c, struct error *err) MUST_CHECK;
/* Appends the key, an object made of `cells`; nothing when the table has no key or `cells` is NULL.
 * POISON as dbz_envelope. */
int dbz_key(struct dbz *d, const struct change *c, const struct cell *cells,
            struct error *err) MUST_CHECK;
/* Appends the shown columns of a row as members, each behind *separator: "{" for the first one,
 * then a comma. POISON: a value cannot be encoded. */
int dbz_row(struct dbz *d, const struct change *c, const struct cell *cells, char *separator,
            struct error *err) MUST_CHECK;
/* Appends the value of a column of the type `t`, or what Debezium sends in its place: the default
 * of the column; for a column that is not null and was not sent, an empty value; else null. SAID or
 * FAULT. */
enum dbz_said dbz_cell(struct dbz *d, const struct change_column *column, const struct dbz_type *t,
                       const struct cell *cell);
/* Ends an object. One without members has not been opened yet: its separator is still "{". */
void dbz_close(struct buf *out, char separator);
/* Appends a name as a JSON string. POISON: it is not UTF-8. */
int dbz_name(struct buf *out, struct slice name, struct error *err) MUST_CHECK;
/* A time in milliseconds, rounded down, also before 1970. */
int64_t dbz_millis(int64_t us);
/* Appends a time in nanoseconds; zero has no zeros behind it. */
void dbz_nanos(struct buf *out, int64_t us);
/* Appends source.sequence: a JSON array inside a JSON string, with the end of the transaction
 * before and the LSN of this change. */
void dbz_sequence(struct buf *out, const struct change *c);
/* The LSN; null for a row that stands at no place of the WAL. */
void dbz_lsn(struct buf *out, const struct change *c);
/* source.snapshot, without quotes. */
const char *dbz_snapshot_name(enum snapshot_mark mark);

/* --- transaction.c --- */

/* Appends the id of a change's transaction, a JSON string: its number and the LSN of this change.
 */
void dbz_transaction_id(struct buf *out, const struct change *c);
/* Appends the member `transaction` of an envelope; null without change_shape.transactions. */
void dbz_transaction_block(struct buf *out, const struct change *c);
/* Append the value of a BEGIN or END, and of a HEARTBEAT, and the key of any of the three. POISON:
 * a name is not UTF-8. */
int dbz_boundary(struct dbz *d, const struct change *c, struct error *err) MUST_CHECK;
int dbz_heartbeat(struct dbz *d, const struct change *c) MUST_CHECK;
int dbz_boundary_key(struct dbz *d, const struct change *c, struct error *err) MUST_CHECK;

/* The bucket of a key in a HashMap of Java's with so many entries; false: it is not UTF-8. Such a
 * map is read by buckets, and within one in the order in which the entries came. */
bool dbz_bucket(struct slice key, size_t count, uint32_t *ret);

/* --- unwrap.c: the row without its envelope --- */

/* CONFIG: encode.unwrap names a field that there is not, or two of one name. */
int dbz_unwrap_check(const struct encode_conf *conf, struct error *err) MUST_CHECK;
/* Which events are wanted: no tombstones, no truncates, and no deletes with UNWRAP_DROP. */
void dbz_unwrap_shape(const struct encode_conf *conf, struct change_shape *ret);
/* Appends the row with the added fields; nothing for a delete with UNWRAP_TOMBSTONE. POISON also
 * for a column with the name of an added field. */
int dbz_unwrap(struct dbz *d, const struct change *c, struct error *err) MUST_CHECK;
/* Appends the added headers as members, each behind *separator. */
int dbz_unwrap_headers(const struct encode_conf *conf, const struct change *c, struct buf *out,
                       char *separator, struct error *err) MUST_CHECK;

/* The same as buf_add, but inlined. A message is made of many short pieces, and the calls would
 * cost more than the copies. */
static inline void dbz_add(struct buf *out, const char *bytes, size_t n)
{
    if (out->cap - out->len <= n) {
        buf_reserve(out, n + 512);
    }
    memcpy(out->data + out->len, bytes, n);
    out->len += n;
    out->data[out->len] = '\0';
}

/* Appends one byte. */
static inline void dbz_add_char(struct buf *out, char c)
{
    dbz_add(out, &c, 1);
}

/* Appends a string literal. */
#define DBZ_LITERAL(out, s) dbz_add(out, "" s, sizeof(s) - 1)
