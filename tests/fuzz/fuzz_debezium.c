/* Whatever a column's text or default is, what is said of it in Debezium's words is one JSON value;
 * the rest is refused without harm. */
#include "message/encode.h"
#include "value/json.h"
#include <stdlib.h>

extern const struct format_ops format_debezium;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* By oid, with the name that defaults go by; above 16384 the name alone counts. */
static struct column_type types[] = {
    {.oid = 16, .base_name = SLICE_LITERAL("bool")},
    {.oid = 23, .base_name = SLICE_LITERAL("int4")},
    {.oid = 700, .base_name = SLICE_LITERAL("float4")},
    {.oid = 701, .base_name = SLICE_LITERAL("float8")},
    {.oid = 1700, .base_name = SLICE_LITERAL("numeric")},
    {.oid = 790, .base_name = SLICE_LITERAL("money")},
    {.oid = 25, .base_name = SLICE_LITERAL("text")},
    {.oid = 17, .base_name = SLICE_LITERAL("bytea")},
    {.oid = 1562, .base_name = SLICE_LITERAL("varbit")},
    {.oid = 1082, .base_name = SLICE_LITERAL("date")},
    {.oid = 1083, .base_name = SLICE_LITERAL("time")},
    {.oid = 1266, .base_name = SLICE_LITERAL("timetz")},
    {.oid = 1114, .base_name = SLICE_LITERAL("timestamp")},
    {.oid = 1184, .base_name = SLICE_LITERAL("timestamptz")},
    {.oid = 1186, .base_name = SLICE_LITERAL("interval")},
    {.oid = 600, .base_name = SLICE_LITERAL("point")},
    {.oid = 20000, .base_name = SLICE_LITERAL("hstore")},
    {.oid = 20001, .base_name = SLICE_LITERAL("mood"), .kind = TYPE_ENUM},
};
enum { TYPES = sizeof types / sizeof *types, OPTIONS = 4 };

static void check(struct buf *out)
{
    enum json_kind kind;
    size_t fault;
    if (!json_check(buf_slice(out), &kind, &fault) || kind != JSON_IS_OBJECT) {
        abort();
    }
}

static void encode(const struct encode_conf *conf, const struct column_type *type, int32_t typmod,
                   struct slice text, bool as_default)
{
    struct error err;
    struct buf out = {0};
    const uint16_t key = 0;
    const struct change_column column = {.name = SLICE_LITERAL("v"),
                                         .typmod = typmod,
                                         .type = type,
                                         .default_text = as_default ? text : SLICE_NULL};
    const struct change_table table = {.schema = SLICE_LITERAL("s"),
                                       .name = SLICE_LITERAL("t"),
                                       .columns = &column,
                                       .columns_count = 1,
                                       .key = &key,
                                       .key_count = 1};
    const struct cell cell = {as_default ? CELL_NULL : CELL_TEXT, text};
    const struct change c = {.op = CHANGE_CREATE,
                             .table = &table,
                             .after = &cell,
                             .database = SLICE_LITERAL("d"),
                             .commit_us = 1};
    if (format_debezium.change_key(conf, &c, &cell, &out, &err) == RESULT_DONE) {
        check(&out);
    } else if (out.len > 0) {
        abort(); /* outputs stay untouched on failure */
    }
    buf_clear(&out);
    if (format_debezium.change_value(conf, &c, &out, &err) == RESULT_DONE) {
        check(&out);
    }
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < OPTIONS) {
        return 0;
    }
    for (size_t i = 0; i < TYPES; i++) {
        types[i].base_oid = types[i].oid;
        types[i].base_typmod = -1;
        types[i].name = types[i].base_name;
    }
    const struct column_type array = {.oid = 1007,
                                      .base_oid = 1007,
                                      .kind = TYPE_ARRAY,
                                      .base_name = SLICE_LITERAL("_x"),
                                      .element = &types[data[0] % TYPES],
                                      .delimiter = ','};
    const struct encode_conf conf = {.name = "n",
                                     .unavailable_placeholder = "p",
                                     .decimal = (enum encode_decimal)(data[1] % 3),
                                     .time = (enum encode_time)(data[1] / 3 % 6),
                                     .binary = (enum encode_binary)(data[2] % 4),
                                     .interval = (enum encode_interval)(data[2] / 4 % 2),
                                     .hstore = (enum encode_hstore)(data[2] / 8 % 2)};
    const struct column_type *type = data[2] & 64 ? &array : &types[data[0] % TYPES];
    char *text = malloc(size - OPTIONS + 1); /* of its own, so that a read behind it is seen */
    if (text) {
        size_t len = size - OPTIONS;
        memcpy(text, data + OPTIONS, len);
        char *exact = realloc(text, len ? len : 1);
        encode(&conf, type, (int32_t)(int8_t)data[3], (struct slice){exact, len}, data[2] & 128);
        free(exact);
    }
    return 0;
}
