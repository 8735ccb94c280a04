/* Every answer goes through here, so that none has a raw control character in it. */
#include "daemon/console/answer.h"

#include "base/shown.h"
#include "daemon/json_value.h"
#include <stdlib.h>

int answer_json(struct buf *out, int status, json_t *take)
{
    enum { FAILED = 500 };
    char *line = json_dumps(take, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(take);
    if (!line) {
        buf_add_str(out, "{\"error\":\"the answer cannot be written as JSON\"}\n");
        return FAILED;
    }
    shown_escape(out, slice_from(line), SHOWN_AS_LINES); /* its escapes are JSON's */
    buf_add_char(out, '\n');
    free(line);
    return status;
}

int answer_error(struct buf *out, int status, const char *text)
{
    json_t *all = json_object();
    json_object_set_new(all, "error", json_text(slice_from(text)));
    return answer_json(out, status, all);
}
