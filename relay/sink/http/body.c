/*
 * Puts values together: a JSON array, lines, a CloudEvents batch (JSON batch format 1.0.2, an array
 * of structured events).
 */
#include "sink/http/body.h"

#include "sink/http/headers.h"
#include "value/json.h"

#include <strings.h>

#define STRUCTURED "application/cloudevents+json"

static bool is_lines(const struct http_conf *c)
{
    return c->batch_format == HTTP_LINES;
}

int http_body_check(const struct http_conf *c, const struct event *e, struct error *err)
{
    enum json_kind kind;
    size_t fault = 0;
    struct slice type = http_headers_type(e);
    size_t n = sizeof STRUCTURED - 1;
    if (c->batch_format == HTTP_CLOUDEVENTS &&
        (type.len < n || strncasecmp(type.ptr, STRUCTURED, n) != 0)) {
        return error_set(
            err, ERROR_CONFIG, "http",
            "sink.batch_format: cloudevents needs encode.format: cloudevents_json; set it, or another batch_format");
    }
    if (!slice_is_null(e->value) && !json_check(e->value, &kind, &fault)) {
        return error_set(
            err, ERROR_POISON, "http",
            "the event's value is not JSON (byte %zu of %zu), and a body of several events needs it; use encode.format: json, or sink.batch.events: 1",
            fault, e->value.len);
    }
    return RESULT_DONE;
}

size_t http_body_bytes(const struct event *e)
{
    return (slice_is_null(e->value) ? 4 : e->value.len) + 1;
}

void http_body_add(const struct http_conf *c, struct buf *out, size_t i, const struct event *e)
{
    struct slice value = slice_is_null(e->value) ? SLICE_LITERAL("null") : e->value;
    size_t from = out->len;
    if (!is_lines(c)) {
        buf_add_char(out, i == 0 ? '[' : ',');
        buf_add_slice(out, value);
        return;
    }
    buf_add_slice(out, value);
    for (size_t at = from; at < out->len; at++) { /* in JSON a line end is only a blank */
        char *p = &out->data[at];
        *p = *p == '\n' || *p == '\r' ? ' ' : *p;
    }
    buf_add_char(out, '\n');
}

void http_body_end(const struct http_conf *c, struct buf *out)
{
    if (!is_lines(c)) {
        buf_add_char(out, ']');
    }
}

const char *http_body_type(const struct http_conf *c)
{
    static const char *const types[] = {[HTTP_ARRAY] = "application/json",
                                        [HTTP_LINES] = "application/x-ndjson",
                                        [HTTP_CLOUDEVENTS] = "application/cloudevents-batch+json"};
    return types[c->batch_format];
}

static bool is_json(struct slice text)
{
    enum json_kind kind;
    size_t fault;
    return json_check(text, &kind, &fault) && (kind == JSON_IS_OBJECT || kind == JSON_IS_ARRAY);
}

/* A value that a format has made is JSON; else it is the payload column as it is. SQLite has no
 * type for JSON, so a text is looked at. */
const char *http_value_type(const struct event *e)
{
    bool made = e->value.ptr != e->payload.ptr;
    if (!made && e->payload_kind == PAYLOAD_BYTES) {
        return "application/octet-stream";
    }
    return made || e->payload_kind == PAYLOAD_JSON || is_json(e->value)
               ? "application/json"
               : "text/plain; charset=utf-8";
}
