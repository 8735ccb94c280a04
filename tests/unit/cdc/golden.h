/* The recorded streams (tools/golden-streams), and where a decoded message's slices may point. */
#pragma once

#include "base/buf.h"
#include "base/reader.h"
#include "cdc/decode/pgoutput.h"
#include <stdio.h>

static const char *const golden_names[] = {
    "pg14-plain",     "pg15-plain",     "pg16-plain",     "pg17-plain",     "pg18-plain",
    "pg14-streaming", "pg15-streaming", "pg16-streaming", "pg17-streaming", "pg18-streaming",
};
enum { GOLDEN_COUNT = sizeof golden_names / sizeof golden_names[0] };

static inline void golden_load(const char *name, const char *suffix, struct buf *out)
{
    char path[512];
    snprintf(path, sizeof path, "%s/pgoutput/%s.%s", GOLDEN_DIR, name, suffix);
    FILE *f = fopen(path, "rb");
    if (!f) {
        fail_msg("%s cannot be opened; tools/golden-streams makes it", path);
        return;
    }
    size_t n;
    do {
        buf_reserve(out, 65536);
        n = fread(out->data + out->len, 1, 65536, f);
        out->len += n;
    } while (n > 0);
    fclose(f);
    buf_add_char(out, '\0'); /* so that a text ends */
    out->len--;
}

/* False at the end of the file. */
static inline bool golden_next(struct reader *r, struct slice *ret)
{
    if (reader_left(r) == 0) {
        return false;
    }
    *ret = reader_bytes(r, reader_u32(r));
    assert_false(r->failed);
    return true;
}
