/*
 * The content type, and CloudEvents' attributes (content.h).
 */
#include "sink/kit/content.h"

#include <strings.h>

bool content_is_type(struct slice name)
{
    static const char type[] = "content-type";
    return name.len == sizeof type - 1 && strncasecmp(name.ptr, type, name.len) == 0;
}

bool content_is_attribute(struct slice name)
{
    return name.len >= sizeof CONTENT_CE - 1 &&
           memcmp(name.ptr, CONTENT_CE, sizeof CONTENT_CE - 1) == 0;
}

bool content_is_cloud_event(const struct header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_equal_str(headers[i].name, CONTENT_CE "specversion")) {
            return true;
        }
    }
    return false;
}

/* The value is the payload itself, or JSON that encode has made. */
struct slice content_type(const struct event *e)
{
    if (slice_is_null(e->value)) {
        return SLICE_NULL;
    }
    for (size_t i = 0; i < e->out_headers_count; i++) {
        if (content_is_type(e->out_headers[i].name)) {
            return e->out_headers[i].value;
        }
    }
    bool made = e->value.ptr != e->payload.ptr || e->of_change;
    switch (made ? PAYLOAD_JSON : e->payload_kind) {
    case PAYLOAD_JSON:
        break;
    case PAYLOAD_TEXT:
        return SLICE_LITERAL("text/plain; charset=utf-8");
    case PAYLOAD_BYTES:
        return SLICE_LITERAL("application/octet-stream");
    }
    return SLICE_LITERAL("application/json");
}
