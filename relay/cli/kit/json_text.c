/* Prints JSON that a terminal cannot be misled by. */
#include "cli/kit/json_text.h"

#include "base/shown.h"
#include "cli/cli.h"
#include <stdlib.h>

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
