/* A format is asked once which events it wants; what it cannot say is refused at the start. */
#include "message/encode.h"

static const char *const format_names[] = {"payload",          "json", "debezium", "cloudevents",
                                           "cloudevents_json", "flat"};

void encode_shape(const struct encode_conf *conf, struct change_shape *ret)
{
    bool debezium = conf->format == ENCODE_DEBEZIUM;
    *ret = (struct change_shape){.tombstones = debezium && conf->tombstones,
                                 .split_key_change = debezium,
                                 .messages = debezium,
                                 .own_prefix = debezium ? NULL : conf->flat_prefix,
                                 .plain_money = debezium,
                                 .placeholder = debezium};
    for (size_t i = 0; i < conf->skipped_operations_count; i++) {
        ret->skip[conf->skipped_operations[i][0] & 127] = true;
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
    bool only_changes = conf->format == ENCODE_DEBEZIUM || conf->format == ENCODE_FLAT;
    if (changes && conf->format == ENCODE_PAYLOAD) {
        return error_set(err, ERROR_CONFIG, "encode",
                         "encode.format: payload needs events with a payload column, and table "
                         "changes have none; write debezium, flat, json, cloudevents or "
                         "cloudevents_json, or `as: outbox` in the source");
    }
    if (!changes && only_changes) {
        return error_set(err, ERROR_CONFIG, "encode",
                         "encode.format: %s is for table changes, and the source gives outbox "
                         "events; write payload, json, cloudevents or cloudevents_json, or a "
                         "source of table changes (`as: changes`)",
                         format_names[conf->format]);
    }
    return RESULT_DONE;
}
