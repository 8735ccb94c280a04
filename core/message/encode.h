/*
 * What an event looks like on the wire. Pure functions from event to bytes; what the formats differ
 * in is behind struct format_ops. Text goes into the batch's arena or a caller's buf. One thread.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "message/format.h"
#include "model/change.h"
#include "model/event.h"

/* Debezium's own words and order (decimal.handling.mode and so on); reference/debezium.md. */
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

enum { ENCODE_HEADER_MAX = 8 };

struct encode_conf {
    const struct format_ops *format;
    const char *const *headers; /* names of event_own_fields that become headers, in this order */
    size_t headers_count;
    /* Changes. */
    const char *name; /* topic.prefix: source.name, {name} */
    enum encode_decimal decimal;
    enum encode_time time;
    enum encode_binary binary;
    enum encode_interval interval;
    enum encode_hstore hstore;
    bool tombstones;
    const char *const *skipped_operations; /* "c", "u", "d", "r", "t", "m" */
    size_t skipped_operations_count;
    const char *unavailable_placeholder;
    const char *flat_prefix; /* of our own members in a flat row; "" is one too */
    const char *source;      /* CloudEvents: the attribute `source`, a URI reference; NULL or "":
                                /commitrelay/<name> */
};

/* Which events this format wants made from a change. */
void encode_shape(const struct encode_conf *conf, struct change_shape *ret);

/* Would a column of this name be taken for one of our own members? `prefix` as in change_shape. */
bool encode_name_is_ours(const char *prefix, struct slice column);

/* CONFIG when the format cannot say what the source gives. */
int encode_fits(const struct encode_conf *conf, bool changes, struct error *err) MUST_CHECK;

/* For an event with a change, before route_apply and encode_message: makes payload (JSON, or null
 * for a tombstone), key (the row identity, null without one), type (the op), aggregatetype
 * ("schema.table"), aggregateid (the key) and further headers (`headers`, a JSON object: for
 * debezium those of a key change). POISON for a value that cannot be said. */
int encode_change(const struct encode_conf *conf, struct event *e, struct arena *arena,
                  struct error *err) MUST_CHECK;

/* Puts further headers into the event's own (`headers`, a JSON object), before those of the column;
 * one of the same name there is left out. A null value is null. POISON for a value that is no text,
 * and for a headers column that is no JSON object. Before encode_message. */
int encode_add_headers(struct event *e, const struct header *more, size_t n, struct arena *arena,
                       struct error *err) MUST_CHECK;

/* CONFIG for a header name that is no event field or is listed twice, and for a `source` that is no
 * URI reference. */
int encode_check(const struct encode_conf *conf, struct error *err) MUST_CHECK;

/* Fills value and out_headers: the configured fields, then each member of the headers column (a
 * string member as its text, null as a null value, anything else as JSON text). The header `id` is
 * always there, behind the configured ones if it is none of them. The format adds its own behind
 * it. A member named like one of ours is left out: ours wins. A member that comes twice is two
 * headers. The payload is not looked at unless the format makes the value anew. Names are not
 * NUL-terminated; names and values point into the event's columns, the arena or conf->headers.
 * POISON when there is no id, when the headers column is no JSON object, has more than 1000
 * members, a name with a control character, a value with \u0000 or half a surrogate pair, or what
 * the format cannot say. conf was passed by encode_check. */
int encode_message(const struct encode_conf *conf, struct event *e, struct arena *arena,
                   struct error *err) MUST_CHECK;

/* {"id","type","aggregatetype","aggregateid","topic","key","headers":{},"payload":...,"created_at","position"},
 * one line, without the newline. JSON payloads are embedded with line breaks replaced by blanks;
 * bytes become "payload_base64". A null topic, key, payload, created_at is null; position is a
 * string. POISON (and `out` as it was): text that is not UTF-8, a JSON payload or headers that do
 * not parse. */
int encode_json_line(struct buf *out, const struct event *e, struct error *err) MUST_CHECK;

/* One column of a batch file (`columns` of the file sink): appends the text of the field, false
 * when it is null. The names are those of model/field.h. bytea payloads as base64. */
bool encode_field(struct buf *out, const struct event *e, const char *name);
bool encode_field_known(const char *name);

/* RFC 4180: quoted when it holds the delimiter, a quote, CR or LF; null is empty, the empty string
 * is "". Delimiters and the line end (CR LF by the RFC) are the caller's. */
void encode_csv_value(struct buf *out, struct slice value, bool null, char delimiter);

/* Puts a ' before a value that a spreadsheet would run as a formula. It cannot be told from a '
 * that was there before: for files that people open, not for those that programs read back. */
void encode_csv_escape_formula(struct buf *value);

/* name=value, the value quoted as contract.md says; null is `name=`, the empty string `name=""`. */
void encode_kv_pair(struct buf *out, const char *name, struct slice value);

/* JSON string literal with its quotes; false (nothing useful added) if the text is not UTF-8. */
bool encode_json_string(struct buf *out, struct slice text);
