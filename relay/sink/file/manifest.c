/* Writes the manifest of a batch file. */
#include "sink/file/manifest.h"

#include "base/clock.h"
#include "message/encode.h"
#include "value/digest.h"
#include <inttypes.h>

/* An empty file has no positions. */
static bool add_text(struct buf *out, const char *key, struct slice value)
{
    buf_printf(out, value.len ? ",\"%s\":" : ",\"%s\":null", key);
    return value.len == 0 || encode_json_string(out, value);
}

/* A text that needs no escaping, or null where it is empty. */
static void add_word(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, value[0] ? ",\"%s\":\"%s\"" : ",\"%s\":null", key, value);
}

int file_manifest_make(struct file_batch *b, const char *pipeline, const struct file_seal *seal,
                       struct error *err)
{
    struct file_names names;
    struct buf *out = &b->manifest;
    char now[CLOCK_RFC3339_SIZE], hmac[DIGEST_HEX_SIZE];
    file_batch_names(b, pipeline, &names);
    buf_clear(out);
    /* Names of pipelines, batch files and keys need no escaping; positions come from the source and
     * do. */
    buf_printf(out,
               "{\"pipeline\":\"%s\",\"file\":\"%s\",\"format\":\"%s\",\"events\":%" PRIu64
               ",\"bytes\":%" PRIu64 ",\"first\":%" PRIu64 ",\"last\":%" PRIu64,
               pipeline, names.data, file_kind_name(b->kind), b->last - b->first + 1, b->bytes,
               b->first, b->last);
    if (!add_text(out, "first_position", buf_slice(&b->first_position)) ||
        !add_text(out, "last_position", buf_slice(&b->last_position))) {
        return error_set(err, ERROR_FATAL, "file",
                         "bug: an event position of %s is not UTF-8; please report it", names.data);
    }
    clock_format_rfc3339(clock_wall_us(), now);
    add_word(out, "sha256", b->sha256);
    add_word(out, "previous_sha256", b->previous_sha256);
    add_word(out, "hmac_sha256", b->hmac_sha256);
    add_word(out, "key_id", seal->id);
    add_word(out, "created_at", now);
    if (!slice_is_null(seal->key)) {
        digest_hmac_sha256(seal->key, buf_slice(out), hmac);
        buf_printf(out, FILE_MANIFEST_SEAL "%s\"", hmac);
    }
    buf_add_str(out, "}\n");
    return RESULT_DONE;
}
