/* Finds and checks a traceparent. What does not have its form is not shown: a log line should not
 * repeat whatever stands in a row. */
#include "message/trace.h"

#include "value/json.h"
#include <string.h>
#include <strings.h>

enum { LENGTH = TRACE_SIZE - 1 };

/* n digits of a hexadecimal number in small letters. */
static bool is_hex(const char *s, size_t n)
{
    return strspn(s, "0123456789abcdef") >= n;
}

static bool is_zero(const char *s, size_t n)
{
    return strspn(s, "0") >= n;
}

static bool is_traceparent(const char *t)
{
    return is_hex(t, 2) && memcmp(t, "ff", 2) != 0 && t[2] == '-' && is_hex(t + 3, 32) &&
           !is_zero(t + 3, 32) && t[35] == '-' && is_hex(t + 36, 16) && !is_zero(t + 36, 16) &&
           t[52] == '-' && is_hex(t + 53, 2);
}

/* Version 00 ends there; a later one may go on behind a hyphen. */
static bool ends_well(struct slice value)
{
    return value.len == LENGTH || (memcmp(value.ptr, "00", 2) != 0 && value.ptr[LENGTH] == '-');
}

static bool is_named(struct slice name)
{
    return name.len == sizeof TRACE_HEADER - 1 &&
           strncasecmp(name.ptr, TRACE_HEADER, name.len) == 0;
}

void trace_of(const struct event *e, char out[TRACE_SIZE])
{
    out[0] = '\0';
    if (slice_is_null(e->headers)) {
        return;
    }
    struct json_members members = json_members(e->headers);
    struct json_member m;
    while (json_members_next(&members, &m) == JSON_MEMBER) {
        if (!is_named(m.name) || m.type != JSON_IS_STRING || m.value.len < LENGTH) {
            continue;
        }
        memcpy(out, m.value.ptr, LENGTH);
        out[LENGTH] = '\0';
        if (!is_traceparent(out) || !ends_well(m.value)) {
            out[0] = '\0';
        }
        return;
    }
}
