/* Makes the JSON that commands print: well-formed and in UTF-8, whatever bytes came from a server
 * or a file. */
#include "cli/kit/json_text.h"

#include "base/clock.h"
#include "base/shown.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "value/base64.h"
#include <stdlib.h>

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

int json_print(json_t *take)
{
    char *text = json_dumps(take, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(take);
    if (!text) {
        return cli_error(EXIT_CODE_BUG, "the answer cannot be written as JSON; please report this");
    }
    CLEANUP(buf_release) struct buf out = {0};
    shown_escape(&out, slice_from(text), SHOWN_AS_LINES); /* its escapes are JSON's */
    buf_add_char(&out, '\n');
    free(text);
    return cli_print(buf_slice(&out));
}
