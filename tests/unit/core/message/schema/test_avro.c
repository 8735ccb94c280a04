/* Avro's binary encoding. The expected bytes are computed by hand from the specification ("Binary
 * encoding"); the examples of the specification itself are among them. */
#include "unit.h"

#include "message/schema/avro.h"
#include <stdio.h>
#include <string.h>

static struct avro_schema *schema(const char *text)
{
    struct avro_schema *s;
    struct error err;
    if (avro_schema_new(slice_from(text), &s, &err)) {
        fail_msg("%s: %s", text, err.text);
    }
    return s;
}

static void hex_of(struct buf *out, const struct buf *bytes)
{
    for (size_t i = 0; i < bytes->len; i++) {
        buf_printf(out, i ? " %02x" : "%02x", (unsigned char)bytes->data[i]);
    }
}

/* `hex`: the bytes, separated by blanks. */
static void encodes(const char *text, const char *json, const char *hex)
{
    CLEANUP(buf_release) struct buf out = {0}, got = {0};
    struct avro_schema *s = schema(text);
    struct error err = {0};
    if (avro_encode(s, slice_from(json), &out, &err)) {
        fail_msg("%s: %s", json, err.text);
    }
    hex_of(&got, &out);
    assert_string_equal(buf_str(&got), hex);
    avro_schema_free(s);
}

static void refuses(const char *text, const char *json, const char *why)
{
    CLEANUP(buf_release) struct buf out = {0};
    struct avro_schema *s = schema(text);
    struct error err = {0};
    buf_add_str(&out, "before");
    assert_int_equal(avro_encode(s, slice_from(json), &out, &err), -1);
    assert_int_equal(err.class, ERROR_POISON);
    if (!strstr(err.text, why)) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    }
    assert_string_equal(buf_str(&out), "before"); /* as it was */
    avro_schema_free(s);
}

static void numbers(void **state)
{
    (void)state;
    encodes("\"long\"", "0", "00");
    encodes("\"long\"", "-1", "01");
    encodes("\"long\"", "1", "02");
    encodes("\"long\"", "-2", "03");
    encodes("\"long\"", "2", "04");
    encodes("\"int\"", "-64", "7f");
    encodes("\"int\"", "64", "80 01");
    encodes("\"int\"", "2147483647", "fe ff ff ff 0f");
    encodes("\"int\"", "-2147483648", "ff ff ff ff 0f");
    encodes("\"long\"", "9223372036854775807", "fe ff ff ff ff ff ff ff ff 01");
    encodes("\"long\"", "-9223372036854775808", "ff ff ff ff ff ff ff ff ff 01");
    encodes("\"float\"", "1.5", "00 00 c0 3f");
    encodes("\"double\"", "-2.0", "00 00 00 00 00 00 00 c0");
    encodes("\"double\"", "1.0E7", "00 00 00 00 d0 12 63 41");
    encodes("\"double\"", "\"Infinity\"", "00 00 00 00 00 00 f0 7f");
    encodes("\"float\"", "\"-Infinity\"", "00 00 80 ff");
    encodes("\"boolean\"", "true", "01");
    encodes("\"boolean\"", "false", "00");
    refuses("\"int\"", "2147483648", "an int");
    refuses("\"int\"", "1.5", "an int");
    refuses("\"long\"", "9223372036854775808", "a long");
    refuses("\"long\"", "\"1\"", "a long");
    refuses("\"long\"", "null", "REPLICA IDENTITY FULL");
    refuses("\"double\"", "\"Nan\"", "a double");
    refuses("\"boolean\"", "1", "a boolean");
}

static void texts_and_bytes(void **state)
{
    (void)state;
    encodes("\"string\"", "\"foo\"", "06 66 6f 6f");
    encodes("\"string\"", "\"\"", "00");
    encodes("\"string\"", "\"\\u00e9\\n\\\"\"", "08 c3 a9 0a 22");
    encodes("\"string\"", "\"\\uD83D\\uDE00\"", "08 f0 9f 98 80");
    encodes("\"bytes\"", "\"AH//\"", "06 00 7f ff");
    encodes("\"bytes\"", "\"\"", "00");
    refuses("\"string\"", "1", "a string");
    refuses("\"bytes\"", "\"*\"", "base64");
}

static void many(void **state)
{
    (void)state;
    encodes("{\"type\":\"array\",\"items\":\"long\"}", "[3,27]", "04 06 36 00");
    encodes("{\"type\":\"array\",\"items\":\"long\"}", " [ ] ", "00");
    encodes("{\"type\":\"array\",\"items\":[\"null\",\"string\"]}", "[null,\"a,]\\\\\\\"\",\"b\"]",
            "06 00 02 0a 61 2c 5d 5c 22 02 02 62 00");
    encodes("{\"type\":\"map\",\"values\":[\"null\",\"string\"]}", "{\"a\":\"x\",\"b\":null}",
            "04 02 61 02 02 78 02 62 00 00");
    encodes("{\"type\":\"map\",\"values\":\"int\"}", "{}", "00");
    refuses("{\"type\":\"array\",\"items\":\"long\"}", "[1,[2]]", "an element: its value");
    refuses("{\"type\":\"array\",\"items\":\"long\"}", "{}", "an array");
}

static void unions(void **state)
{
    (void)state;
    encodes("[\"null\",\"string\"]", "null", "00");
    encodes("[\"null\",\"string\"]", "\"a\"", "02 02 61");
    encodes("[\"string\",\"null\"]", "null", "02");
    encodes("[\"string\",\"null\"]", "\"a\"", "00 02 61");
}

#define TEST_RECORD                                                                          \
    "{\"type\":\"record\",\"name\":\"test\",\"fields\":[{\"name\":\"a\",\"type\":\"long\"}," \
    "{\"name\":\"b\",\"type\":\"string\"}]}"

static void records(void **state)
{
    (void)state;
    encodes(TEST_RECORD, "{\"a\":27,\"b\":\"foo\"}", "36 06 66 6f 6f");
    encodes(TEST_RECORD, "{\"b\":\"foo\",\"a\":27}", "36 06 66 6f 6f"); /* in the schema's order */
    refuses(TEST_RECORD, "{\"a\":27}", "b: it is missing");
    refuses(TEST_RECORD, "{\"a\":27,\"b\":\"\",\"c\":1}", "3 members, and the schema knows 2");
    refuses(TEST_RECORD, "{\"a\":\"x\",\"b\":\"\"}", "a: its value is not a long");
    refuses(TEST_RECORD, "[]", "an object");
}

/* A record that is named again, by its short name inside its namespace; defaults of what is not
 * there: of a union the one of its first branch, of bytes a character for each. */
static void names_and_defaults(void **state)
{
    (void)state;
    encodes("{\"type\":\"record\",\"name\":\"E\",\"namespace\":\"s.t\",\"fields\":["
            "{\"name\":\"before\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"V\","
            "\"fields\":[{\"name\":\"i\",\"type\":{\"type\":\"int\",\"connect.default\":0},"
            "\"default\":0}]}],\"default\":null},"
            "{\"name\":\"after\",\"type\":[\"null\",\"V\"],\"default\":null}]}",
            "{\"before\":null,\"after\":{\"i\":1}}", "00 02 02");
    encodes("{\"type\":\"record\",\"name\":\"r\",\"fields\":["
            "{\"name\":\"n\",\"type\":[\"null\",\"int\"],\"default\":null},"
            "{\"name\":\"i\",\"type\":[\"int\",\"null\"],\"default\":5},"
            "{\"name\":\"b\",\"type\":\"bytes\",\"default\":\"\\u0000\\u00ff\"}]}",
            "{}", "00 00 0a 04 00 ff");
}

static void unknown(const char *text, const char *why)
{
    struct avro_schema *s;
    struct error err = {0};
    assert_int_equal(avro_schema_new(slice_from(text), &s, &err), -1);
    assert_int_equal(err.class, ERROR_CONFIG);
    if (!strstr(err.text, why)) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    }
}

static void what_is_not_known_is_refused(void **state)
{
    (void)state;
    unknown("{", "no JSON");
    unknown("{\"type\":\"fixed\",\"name\":\"f\",\"size\":4}", "the type fixed");
    unknown("[\"null\",\"int\",\"long\"]", "a union");
    unknown("[\"int\",\"long\"]", "a union");
    unknown("{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"x\",\"type\":\"r\"}]}",
            "the type r");
    unknown("{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"x\",\"type\":\"int\","
            "\"default\":\"a\"}]}",
            "the default of field x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(texts_and_bytes),
        cmocka_unit_test(many),
        cmocka_unit_test(unions),
        cmocka_unit_test(records),
        cmocka_unit_test(names_and_defaults),
        cmocka_unit_test(what_is_not_known_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
