/*
 * Turns an event into the bytes of a message: headers, value, and for a table change also key and
 * payload. What the formats differ in is behind struct format_ops (message/format.h).
 *
 * The functions keep no state and wait for nothing. What they make lies in the arena or the buf
 * that the caller passes, and dies with it. The pipeline's thread calls them for every event; the
 * main thread calls encode_check and encode_fits for `check`. Two threads may call them at once if
 * each has its own event, arena and buf. Functions that can fail return RESULT_DONE or
 * RESULT_ERROR, never RESULT_AGAIN. Memory running out aborts the process.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "message/format.h"
#include "model/change.h"
#include "model/event.h"
#include "model/field.h"

/* The values of Debezium's options decimal.handling.mode, time.precision.mode,
 * binary.handling.mode, interval.handling.mode and hstore.handling.mode. config/conf_core.c lists
 * their words in the same sequence: a value is an index into that list. See docs/DEBEZIUM.md. */
enum encode_decimal { DECIMAL_PRECISE, DECIMAL_DOUBLE, DECIMAL_STRING };
enum encode_time {
    TIME_ADAPTIVE,
    TIME_ADAPTIVE_MICROSECONDS,
    TIME_CONNECT,
    TIME_ISOSTRING,
    TIME_MICROSECONDS,
    TIME_NANOSECONDS
};
enum encode_binary { BINARY_BYTES, BINARY_BASE64, BINARY_BASE64_URL_SAFE, BINARY_HEX };
enum encode_interval { INTERVAL_NUMERIC, INTERVAL_STRING };
enum encode_hstore { HSTORE_JSON, HSTORE_MAP };

/* How the key and the value of a table change are written. The last two are Confluent's wire
 * format: a zero byte, the number of the schema in four bytes, the text or bytes
 * (message/schema/frame.h). */
enum encode_value { VALUE_JSON, VALUE_AVRO, VALUE_JSON_SCHEMA };

/* What becomes of a delete without its envelope; config/conf_core.c lists the words in the same
 * sequence. */
enum unwrap_deletes { UNWRAP_DROP, UNWRAP_TOMBSTONE, UNWRAP_REWRITE };

/* encode.unwrap: the row alone, as Debezium's ExtractNewRecordState makes it of the envelope. A
 * field is "op", "ts_ms", a member of `source` or `transaction` ("lsn", "source.ts_ms"), with a
 * name of its own behind a colon ("op:kind"). */
struct encode_unwrap {
    bool on;
    enum unwrap_deletes deletes;
    const char *const *fields, *const *headers;
    size_t fields_count, headers_count;
    const char *fields_prefix, *headers_prefix; /* what their names begin with; NULL: "__" */
};

/* The most fields that encode.headers can list. encode_message asserts it. */
enum { ENCODE_HEADER_MAX = 8 };

/* What the configuration says under `encode`. All pointers are borrowed and must live as long as
 * the struct; out_headers point into `headers`. Texts are NUL-terminated. `source` may be NULL, and
 * so may a text that the format does not use. */
struct encode_conf {
    const struct format_ops *format;
    /* Fields of the event that become headers, one after the other; names of event_own_fields. */
    const char *const *headers;
    size_t headers_count;
    /* The rest is for table changes, but for `source`; `name` is in the default of `source` too. */
    const char *name; /* Debezium's topic.prefix: {name} in topics, source.name in the envelope */
    enum encode_decimal decimal;
    enum encode_time time;
    enum encode_binary binary;
    enum encode_interval interval;
    enum encode_hstore hstore;
    enum encode_value value;
    bool schemas;                /* the schema stands in keys and values (message/schema/book.h) */
    bool tombstones;             /* a tombstone follows each delete */
    bool transaction_metadata;   /* BEGIN and END of transactions, and numbers in their changes */
    const char *heartbeat_topic; /* where heartbeats are sent; NULL or "": nowhere */
    /* Operations that make no message: "c", "u", "d", "r", "t", "m"; or "none". */
    const char *const *skipped_operations;
    size_t skipped_operations_count;
    const char *unavailable_placeholder; /* stands for a TOAST value that the server did not send */
    const char *flat_prefix; /* the names of our own members of a flat row begin with it: "__op"; ""
                                is allowed */
    struct encode_unwrap unwrap;
    /* Of the format payload: the JSON is written anew, as Debezium's outbox router expands it; and
     * a payload of blanks is sent as null. */
    bool expand_json, blank_is_null;
    bool envelope;      /* the payload of events is what encode_add_envelope has made */
    const char *source; /* the CloudEvents attribute `source`, a URI reference; NULL or "":
                           /commitrelay/<name> */
};

/* Fills *ret with the events that this format wants made from a change. Called once, before the
 * source is opened. ret->own_prefix points into conf. */
void encode_shape(const struct encode_conf *conf, struct change_shape *ret);

/* Whether a column of this name would collide with one of our own members of a flat row: with the
 * prefix "__" the column "__op" would. Two members of one name make a JSON object ambiguous, so the
 * source refuses such a table. `prefix` is change_shape.own_prefix; NULL: no name collides. */
bool encode_name_is_ours(const char *prefix, struct slice column);

/* CONFIG when the format cannot encode what the source gives: table changes (`changes`) or outbox
 * events. The text lists the formats that can. Called at the start and by `check`. */
int encode_fits(const struct encode_conf *conf, bool changes, struct error *err) MUST_CHECK;

/* Makes an outbox-like event of a table change (e->change is not NULL). Call it before route_apply
 * and encode_message. It fills payload (JSON; null for a tombstone), key (the row identity; null
 * without one), type (the operation, "c"), aggregatetype ("schema.table"; the prefix of a logical
 * message), aggregateid (the key) and headers (a JSON object or null; Debezium has some for a key
 * change). The texts lie in `arena`, or are static. POISON for a value or name that the format
 * cannot encode, such as one that is not UTF-8; `type` and `aggregatetype` are set even then, for
 * the dead letter. */
int encode_change(const struct encode_conf *conf, struct event *e, struct arena *arena,
                  struct error *err) MUST_CHECK;

/* Puts n further headers into e->headers (a JSON object) before those of the headers column. A
 * member of the column with the same name is left out. A header with a null value gets JSON null.
 * The new text lies in `arena`. Call it before encode_message. POISON for a name or value that is
 * not UTF-8 or holds a NUL, and for a headers column that is not a JSON object. */
int encode_add_headers(struct event *e, const struct header *more, size_t n, struct arena *arena,
                       struct error *err) MUST_CHECK;

/* Appends the value of a column as JSON, as Debezium's connector writes it into a row under these
 * settings: a null with a default as the default, and `null` where it has no value. `cell` has to
 * be CELL_TEXT or CELL_NULL. For source_env.json_count. POISON: a value that is not one of its
 * type, or a type that Debezium does not know; `out` is then as it was. */
int encode_column_value(const struct encode_conf *conf, const struct change_column *column,
                        const struct cell *cell, struct buf *out, struct error *err) MUST_CHECK;

/* Whether Debezium knows the type of the column. Any thread. */
bool encode_column_known(const struct change_column *column);

/* Puts the payload into an object and n fields behind it, as Debezium's outbox router does for
 * columns that are placed in the envelope: {"payload":"...","kind":"created"}. The value of a field
 * is JSON; a null slice is null. The payload is a JSON string, also where it is JSON itself, unless
 * conf->expand_json is set; bytes are as conf->binary says. With conf->blank_is_null a payload of
 * blanks becomes null, without an envelope. The new payload lies in `arena`. Call it once for an
 * event, before encode_message. POISON for a payload that is not UTF-8. */
int encode_add_envelope(const struct encode_conf *conf, struct event *e,
                        const struct header *fields, size_t n, struct arena *arena,
                        struct error *err) MUST_CHECK;

/* Checks the configuration once, before the first event: CONFIG for a header that is no event field
 * or is listed twice, for a `source` that is no URI reference, for a flat_prefix with characters
 * other than letters, digits and `_-.$`, and for what the format refuses itself. */
int encode_check(const struct encode_conf *conf, struct error *err) MUST_CHECK;

/* Fills e->value and e->out_headers. `conf` must have passed encode_check. The headers are, one
 * after the other: the configured fields; `id`, if it is not one of them; those of the format; the
 * members of the headers column. A string member gives its text, null a null value, anything else
 * its JSON text. A member with the name of a header before the column is left out. Two members of
 * one name become two headers. The value is the payload as it is, unless the format makes another
 * one. Header names are not NUL-terminated. Names and values point into the event's columns, the
 * arena or conf->headers. POISON when the event has no id, when the headers column is not a JSON
 * object, has more than 1000 members, a name with a control character, or a text with \u0000 or
 * half a surrogate pair, and for what the format cannot encode. */
int encode_message(const struct encode_conf *conf, struct event *e, struct arena *arena,
                   struct error *err) MUST_CHECK;

/* Appends the event as one JSON object in one line, without a newline:
 * {"id","type","aggregatetype","aggregateid","topic","key","headers":{},"payload":...,"created_at","position"}.
 * A JSON payload is embedded, with its line breaks replaced by blanks; a payload of bytes becomes
 * "payload_base64". `position` is a string. A null field is JSON null, null headers are {}. POISON
 * for text that is not UTF-8 and for a JSON payload or headers that do not parse; `out` is then as
 * it was. */
int encode_json_line(struct buf *out, const struct event *e, struct error *err) MUST_CHECK;

/* The payload inside a value of this format, as it stands there: what stays the same whenever the
 * event is sent again. Example: the format json gives the text behind "payload":. All of the value
 * where it is the payload, and where it is not what the format makes. Points into `value`. */
struct slice encode_payload_in(const struct format_ops *format, struct slice value);

/* Where a column of a batch file gets its value: a field of the event, or what stands in the
 * payload or the headers, both JSON objects, under a path of member names. "payload.buyer.zip" is
 * {FIELD_PAYLOAD, "buyer.zip"}; the path is NULL for a field as a whole. */
struct encode_column {
    enum event_field field;
    const char *path; /* points into the name */
};

/* Reads the name of a column. False: there is no such field, it has no members, or a part of the
 * path is empty. */
bool encode_column_from(const char *name, struct encode_column *ret);

/* Appends the text of a column. A payload of bytes is base64. Under a path a string gives its text,
 * any other value its JSON text; of two members with one name the last counts. *ret_there
 * is false, and nothing is appended, for a null and where the path leads nowhere. POISON when the
 * payload or the headers are not JSON, or a string holds what no text can (\u0000). */
int encode_column_text(struct buf *out, const struct event *e, const struct encode_column *c,
                       bool *ret_there, struct error *err) MUST_CHECK;

/* Appends the same as a JSON value in one line: null for a null, JSON as it is, all else as a
 * string. POISON also for text that is not UTF-8. On an error `out` may hold an unfinished text. */
int encode_column_json(struct buf *out, const struct event *e, const struct encode_column *c,
                       struct error *err) MUST_CHECK;

/* How a delimited file is written. */
struct encode_csv {
    char delimiter;
    bool quote_all;        /* quote every value; a null is never quoted */
    const char *null_text; /* stands for a null, unquoted */
};

/* Appends one CSV value as RFC 4180 has it. It is quoted when it holds the delimiter, a quote, CR
 * or LF, and when it is the null text, so that a reader can tell it from a null: with the null text
 * "" the empty string is "". The caller adds delimiters and line ends. */
void encode_csv_value(struct buf *out, const struct encode_csv *csv, struct slice value, bool null);

/* Puts a ' before a value that a spreadsheet would run as a formula, such as =1+1. A reader cannot
 * tell this ' from one that was in the data, so use it for files that people open, not for files
 * that programs read back. */
void encode_csv_escape_formula(struct buf *value);

/* Appends name=value. The value is quoted when it is empty or holds a blank, a control character,
 * =, \, or a quote of either kind. Inside the quotes stand \", \\, \n, \r and \t; other control
 * characters are \x and two hex digits. A null is `name=`, the empty string `name=""`. */
void encode_kv_pair(struct buf *out, const char *name, struct slice value);

/* Appends `text` as a JSON string with its quotes. Returns false, with `out` as it was, if the text
 * is not UTF-8. */
bool encode_json_string(struct buf *out, struct slice text);
