/* Avro's encoder never reads outside its input, whatever JSON stands there, and leaves nothing
 * behind when it refuses; a schema that is read never brings it down either. The first byte says
 * which of the two the input is. */
#include "message/schema/avro.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char all_kinds[] =
    "{\"type\":\"record\",\"name\":\"r\",\"fields\":["
    "{\"name\":\"b\",\"type\":\"boolean\"},"
    "{\"name\":\"i\",\"type\":[\"null\",\"int\"]},"
    "{\"name\":\"l\",\"type\":[\"null\",\"long\"]},"
    "{\"name\":\"f\",\"type\":[\"null\",\"float\"]},"
    "{\"name\":\"d\",\"type\":[\"null\",\"double\"]},"
    "{\"name\":\"s\",\"type\":[\"null\",\"string\"]},"
    "{\"name\":\"y\",\"type\":[\"null\",\"bytes\"]},"
    "{\"name\":\"a\",\"type\":[\"null\",{\"type\":\"array\",\"items\":[\"null\",\"string\"]}]},"
    "{\"name\":\"m\",\"type\":[\"null\",{\"type\":\"map\",\"values\":[\"null\",\"string\"]}]},"
    "{\"name\":\"r\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"n\",\"fields\":["
    "{\"name\":\"x\",\"type\":\"int\"}]}]}]}";

static void encode(struct slice json)
{
    static struct avro_schema *schema; /* made once, lives as long as the process */
    struct error err;
    CLEANUP(buf_release) struct buf out = {0};
    if (!schema && avro_schema_new(slice_from(all_kinds), &schema, &err)) {
        abort();
    }
    if (avro_encode(schema, json, &out, &err) ? out.len != 0 : out.len == 0) {
        abort();
    }
}

static void read_schema(struct slice text)
{
    struct avro_schema *schema;
    struct error err;
    if (avro_schema_new(text, &schema, &err) == RESULT_DONE) {
        avro_schema_free(schema);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct slice text = {(const char *)data + 1, size - 1};
    if (data[0] == 's') {
        read_schema(text);
    } else {
        encode(text);
    }
    return 0;
}
