/* Finds the payload again in what was encoded, for those who compare what was sent. */
#include "message/encode.h"

#include "value/json.h"
#include <string.h>

static bool is_payload(struct slice name, const char *wanted)
{
    static const char bytes[] = "_base64";
    size_t n = strlen(wanted);
    return name.len >= n && memcmp(name.ptr, wanted, n) == 0 &&
           (name.len == n || slice_equal_str((struct slice){name.ptr + n, name.len - n}, bytes));
}

/* The member as it stands there. False: there is none, or the text is no JSON object. */
static bool find_payload(struct slice object, const char *name, struct slice *ret)
{
    struct json_members members = json_members(object);
    struct json_member m;
    enum json_step step;
    struct slice found = SLICE_NULL;
    while ((step = json_members_next(&members, &m)) == JSON_MEMBER) {
        if (is_payload(m.name, name)) {
            found = json_member_text(&m);
        }
    }
    *ret = found;
    return step == JSON_END && !slice_is_null(found);
}

struct slice encode_payload_in(const struct format_ops *format, struct slice value)
{
    struct slice payload;
    bool found = format->payload_member && !slice_is_null(value) &&
                 find_payload(value, format->payload_member, &payload);
    return found ? payload : value;
}
