/* The payload of an outbox event with columns of its row beside it, as Debezium's outbox router
 * makes it of the placement column:envelope:alias. After that every format and sink finds it in one
 * place, and a dead letter that is sent again has it already. */
#include "message/internal.h"

bool encode_is_blank(struct slice text)
{
    size_t i = 0;
    while (i < text.len && (unsigned char)text.ptr[i] <= ' ') {
        i++;
    }
    return i == text.len;
}

static int add_payload(const struct encode_conf *conf, const struct event *e, struct buf *out,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    if (slice_is_null(e->payload)) {
        buf_add_str(out, "null");
        return RESULT_DONE;
    }
    if (conf->expand_json) {
        if (dbz_expand_payload(e, &text, err)) {
            return RESULT_ERROR;
        }
        buf_add_slice(out, buf_slice(&text));
        return RESULT_DONE;
    }
    return dbz_payload_string(conf, e, out)
               ? RESULT_DONE
               : error_set(err, ERROR_POISON, "encode",
                           "the payload is not UTF-8 text; mend the row, or keep bytes in a bytea "
                           "column");
}

int encode_add_envelope(const struct encode_conf *conf, struct event *e,
                        const struct header *fields, size_t n, struct arena *arena,
                        struct error *err)
{
    CLEANUP(buf_release) struct buf out = {0};
    if (conf->blank_is_null && encode_is_blank(e->payload)) {
        e->payload = SLICE_NULL;
        return RESULT_DONE;
    }
    buf_add_str(&out, "{\"payload\":");
    if (add_payload(conf, e, &out, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < n; i++) {
        buf_add_char(&out, ',');
        if (!encode_json_string(&out, fields[i].name)) {
            return error_set(err, ERROR_POISON, "encode",
                             "encode.envelope: a field's name is not UTF-8; rename it");
        }
        buf_add_char(&out, ':');
        buf_add_slice(&out,
                      slice_is_null(fields[i].value) ? SLICE_LITERAL("null") : fields[i].value);
    }
    buf_add_char(&out, '}');
    e->payload = arena_copy(arena, buf_slice(&out));
    e->payload_kind = PAYLOAD_JSON;
    return RESULT_DONE;
}
