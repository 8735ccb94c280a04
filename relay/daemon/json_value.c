/* Texts as JSON values. A text that is not valid UTF-8 is replaced (json_value.h). */
#include "daemon/json_value.h"

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
