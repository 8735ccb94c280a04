/*
 * Checks headers and writes them for libcurl. A row's headers must not be able to change what the
 * request is.
 */
#include "sink/http/headers.h"

#include "base/memory.h"

#include <string.h>
#include <strings.h>

enum { NAME_MAX_BYTES = 256 };

#define CE_PREFIX "ce_"
#define CONTENT_TYPE "content-type"

static bool is_named(struct slice name, const char *word)
{
    return name.len == strlen(word) && strncasecmp(name.ptr, word, name.len) == 0;
}

bool http_header_name_valid(struct slice name)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || !strchr(marks, c))) {
            return false;
        }
    }
    return name.len > 0 && name.len <= NAME_MAX_BYTES;
}

bool http_header_value_valid(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

bool http_header_is_ours(struct slice name)
{
    static const char *const ours[] = {"host",          "content-length",    "transfer-encoding",
                                       "connection",    "keep-alive",        "te",
                                       "trailer",       "upgrade",           "expect",
                                       "authorization", CONTENT_TYPE,        "idempotency-key",
                                       "webhook-id",    "webhook-timestamp", "webhook-signature"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (is_named(name, ours[i])) {
            return true;
        }
    }
    return name.len > 6 && strncasecmp(name.ptr, "proxy-", 6) == 0;
}

static bool is_attribute(struct slice name)
{
    return name.len > sizeof CE_PREFIX - 1 &&
           strncmp(name.ptr, CE_PREFIX, sizeof CE_PREFIX - 1) == 0;
}

int http_headers_check(const struct event *e, struct error *err)
{
    for (size_t i = 0; i < e->out_headers_count; i++) {
        const struct header *h = &e->out_headers[i];
        bool type = is_named(h->name, CONTENT_TYPE);
        if (!http_header_name_valid(h->name) || (http_header_is_ours(h->name) && !type)) {
            return error_set(
                err, ERROR_POISON, "http",
                "the event's header %.*s %s; rename it in the row or in encode.headers",
                (int)(h->name.len > 64 ? 64 : h->name.len), h->name.ptr,
                http_header_name_valid(h->name) ? "is one that the sink sets itself"
                                                : "has a name that HTTP cannot carry");
        }
        if (!is_attribute(h->name) && !http_header_value_valid(h->value)) {
            return error_set(
                err, ERROR_POISON, "http",
                "the event's header %.*s holds a control character, which HTTP cannot carry; mend the row",
                SLICE_FMT(h->name));
        }
    }
    return http_header_value_valid(e->id)
               ? RESULT_DONE
               : error_set(
                     err, ERROR_POISON, "http",
                     "the event's id holds a control character, which the header webhook-id cannot carry; mend the row");
}

void http_headers_add(struct curl_slist **list, const char *name, struct slice value,
                      struct buf *scratch)
{
    buf_clear(scratch);
    buf_add_str(scratch, name);
    buf_add_str(scratch, value.len > 0 ? ": " : ";"); /* libcurl's way to send an empty one */
    buf_add_slice(scratch, value);
    *list = memory_need(curl_slist_append(*list, buf_str(scratch)));
}

/* CloudEvents, HTTP binding 1.0.2, 3.1.3: ce-<attribute>, and %XX for what is not printable ASCII.
 */
static void add_attribute(struct curl_slist **list, const struct header *h, struct buf *scratch)
{
    static const char hexes[] = "0123456789ABCDEF";
    buf_clear(scratch);
    buf_add_str(scratch, "ce-");
    buf_add(scratch, h->name.ptr + sizeof CE_PREFIX - 1, h->name.len - (sizeof CE_PREFIX - 1));
    buf_add_str(scratch, ": ");
    for (size_t i = 0; i < h->value.len; i++) {
        unsigned char c = (unsigned char)h->value.ptr[i];
        if (c > 0x20 && c < 0x7f && c != '"' && c != '%') {
            buf_add_char(scratch, (char)c);
        } else {
            char encoded[3] = {'%', hexes[c >> 4], hexes[c & 15]};
            buf_add(scratch, encoded, sizeof encoded);
        }
    }
    *list = memory_need(curl_slist_append(*list, buf_str(scratch)));
}

void http_headers_add_event(struct curl_slist **list, const struct event *e, bool without_type,
                            struct buf *scratch)
{
    for (size_t i = 0; i < e->out_headers_count; i++) {
        const struct header *h = &e->out_headers[i];
        char name[NAME_MAX_BYTES + 1];
        if (slice_is_null(h->value) || (without_type && is_named(h->name, CONTENT_TYPE))) {
            continue;
        }
        if (is_attribute(h->name)) {
            add_attribute(list, h, scratch);
            continue;
        }
        memcpy(name, h->name.ptr, h->name.len); /* http_headers_check has seen that it fits */
        name[h->name.len] = '\0';
        http_headers_add(list, name, h->value, scratch);
    }
}

struct slice http_headers_type(const struct event *e)
{
    for (size_t i = 0; i < e->out_headers_count; i++) {
        if (is_named(e->out_headers[i].name, CONTENT_TYPE)) {
            return e->out_headers[i].value;
        }
    }
    return SLICE_NULL;
}
