/* Asks a format which events it wants made from a change, and refuses a format that cannot encode
 * what the source gives. Both happen at the start, because otherwise every single event would fail.
 */
#include "message/encode.h"

void encode_shape(const struct encode_conf *conf, struct change_shape *ret)
{
    *ret = (struct change_shape){0};
    for (size_t i = 0; i < conf->skipped_operations_count; i++) {
        /* The word "none" sets the entry of 'n', which is no operation: nothing is skipped. */
        ret->skip[conf->skipped_operations[i][0] & 127] = true;
    }
    if (conf->format->shape) {
        conf->format->shape(conf, ret);
    }
}

bool encode_name_is_ours(const char *prefix, struct slice column)
{
    static const char *const names[] = {CHANGE_OWN_NAMES};
    size_t n = prefix ? strlen(prefix) : 0;
    if (!prefix || column.len < n || memcmp(column.ptr, prefix, n) != 0) {
        return false;
    }
    struct slice rest = {column.ptr + n, column.len - n};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_equal_str(rest, names[i])) {
            return true;
        }
    }
    return false;
}

int encode_fits(const struct encode_conf *conf, bool changes, struct error *err)
{
    const struct format_ops *format = conf->format;
    unsigned needed = changes ? FORMAT_CHANGES : FORMAT_OUTBOX;
    CLEANUP(buf_release) struct buf others = {0};
    if (format->can & needed) {
        return RESULT_DONE;
    }
    format_list(&others, (struct format_wanted){.can = needed}, "or");
    if (changes) {
        return error_set(
            err, ERROR_CONFIG, "encode",
            "encode.format: %s needs events with a payload column, and table changes have none; write %s, or `as: outbox` in the source",
            format_name(format), buf_str(&others));
    }
    return error_set(
        err, ERROR_CONFIG, "encode",
        "encode.format: %s is for table changes, and the source gives outbox events; write %s, or a source of table changes (`as: changes`)",
        format_name(format), buf_str(&others));
}
