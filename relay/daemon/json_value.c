/* Texts as JSON values. A text that is not valid UTF-8 is replaced (json_value.h). */
#include "daemon/json_value.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "value/base64.h"

json_t *json_text(struct slice text)
{
    if (slice_is_null(text)) {
        return json_null();
    }
    json_t *j = json_stringn(text.ptr, text.len);
    return j ? j : json_string("(not UTF-8)");
}

json_t *json_text_or_null(const char *s)
{
    return s && s[0] ? json_text(slice_from(s)) : json_null();
}

json_t *json_time(int64_t wall_us)
{
    char text[CLOCK_RFC3339_SIZE];
    if (wall_us == TIME_NONE) {
        return json_null();
    }
    clock_format_rfc3339(wall_us, text);
    return json_string(text);
}

void json_set_bytes(json_t *object, const char *name, struct slice bytes)
{
    if (slice_is_null(bytes) || utf8_valid(bytes)) {
        json_object_set_new(object, name, json_text(bytes));
        return;
    }
    CLEANUP(buf_release) struct buf key = {0}, text = {0};
    buf_printf(&key, "%s_base64", name);
    base64_add(&text, bytes);
    json_object_set_new(object, buf_str(&key), json_string(buf_str(&text)));
}
