/* The schemas that Debezium Server sent with the messages of a golden file (schemas.enable=true),
 * and whether ours are the same, byte for byte. */
#pragma once

#include "debezium_golden.h"

#include "message/schema/connect.h"

/* Appends `text` with `with` in each place of `what`. */
static void replace(struct buf *out, const char *text, const char *what, struct slice with)
{
    for (const char *at; (at = strstr(text, what)) != NULL; text = at + strlen(what)) {
        buf_add(out, text, (size_t)(at - text));
        buf_add_slice(out, with);
    }
    buf_add_str(out, text);
}

static void printed(struct buf *out, const struct connect_schema *schema)
{
    struct error err;
    buf_clear(out);
    if (connect_native(out, schema, &err)) {
        fail_msg("%s", err.text);
    }
}

/* The member of a set, or what holds for all sets. */
static json_t *schemas_of_set(json_t *schemas, const char *set)
{
    json_t *own = json_object_get(schemas, set);
    return own ? own : json_object_get(schemas, "default");
}

/* What is different on purpose in the elements of arrays (docs/DEBEZIUM.md): an enum may be null,
 * and with time: connect a time has milliseconds. */
static void mend_elements(struct buf *out, struct slice text, bool connect)
{
#define ITEMS(type, optional, name) \
    "\"items\":{\"type\":\"" type "\",\"optional\":" optional ",\"name\":\"" name "\""
    struct buf enums = {0};
    replace(&enums, text.ptr, ITEMS("string", "false", "io.debezium.data.Enum"),
            SLICE_LITERAL(ITEMS("string", "true", "io.debezium.data.Enum")));
    replace(out, buf_str(&enums),
            connect ? ITEMS("int64", "true", "io.debezium.time.MicroTime") : "\n",
            SLICE_LITERAL(ITEMS("int32", "true", "org.apache.kafka.connect.data.Time")));
    buf_release(&enums);
}

/* `wanted`: the envelope of the file, with ROW and TABLE in the places of the row and its name. */
static void same_envelope(const struct connect_schema *value, struct slice wanted)
{
    struct buf row = {0}, with_row = {0}, whole = {0}, have = {0};
    printed(&row, value->fields[0].schema);
    printed(&have, value);
    row.len--; /* the name of the field follows */
    replace(&with_row, wanted.ptr, "ROW", buf_slice(&row));
    replace(&whole, buf_str(&with_row), "TABLE",
            (struct slice){value->name.ptr, value->name.len - strlen(".Envelope")});
    assert_string_equal(buf_str(&have), buf_str(&whole));
    buf_release(&row);
    buf_release(&with_row);
    buf_release(&whole);
    buf_release(&have);
}
