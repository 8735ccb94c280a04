/* Payloads of an outbox, expanded as Debezium's router and Kafka Connect's JSON converter do. */
#include "formats.h"
#include "unit.h"

#include "base/buf.h"
#include "message/encode.h"

#define N(array) (sizeof(array) / sizeof *(array))

static void check_value(bool expand, bool blank_is_null, enum payload_kind kind,
                        struct slice payload, const char *want)
{
    const struct encode_conf conf = {
        .format = &format_payload, .expand_json = expand, .blank_is_null = blank_is_null};
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err;
    e->id = SLICE_LITERAL("i");
    e->payload = payload;
    e->payload_kind = kind;
    if (encode_message(&conf, e, &b->arena, &err)) {
        fail_msg("%s", err.text);
    }
    if (slice_is_null(e->value) != !want || !slice_equal_str(e->value, want ? want : "")) {
        fail_msg("%.*s: %.*s, want %s", SLICE_FMT(payload), SLICE_FMT(e->value), want);
    }
    batch_free(b);
}

static void expanded(const char *payload, const char *want)
{
    check_value(true, false, PAYLOAD_JSON, slice_from(payload), want);
}

static void json_is_written_anew(void **state)
{
    (void)state;
    expanded("{\"b\": 1, \"a\": \"x\"}", "{\"b\":1,\"a\":\"x\"}");
    expanded("{}", "{}");
    expanded("{\"t\": true, \"f\": false, \"o\": {\"x\": {}}}",
             "{\"t\":true,\"f\":false,\"o\":{\"x\":{}}}");
    expanded("{\"s\": \"\\u00e9 \\\" \\u0001 \\ud83d\\ude00\"}",
             "{\"s\":\"\xC3\xA9 \\\" \\u0001 \\uD83D\\uDE00\"}");
    expanded("{\"a\": 1, \"a\": 2}", "{\"a\":2}"); /* the last one counts */
    expanded("[1, 2]", "[1,2]");
}

static void numbers_are_java_s(void **state)
{
    (void)state;
    expanded("{\"a\": 1.50, \"b\": 2.0, \"c\": 1e10, \"d\": 1e2, \"e\": 0.1}",
             "{\"a\":1.5,\"b\":2.0,\"c\":1.0E10,\"d\":100.0,\"e\":0.1}");
    expanded("{\"a\": -0.0, \"b\": 123456789012345678.5}",
             "{\"a\":-0.0,\"b\":1.2345678901234568E17}");
    expanded("{\"a\": 2147483648, \"b\": -9223372036854775808, \"c\": -0}",
             "{\"a\":2147483648,\"b\":-9223372036854775808,\"c\":0}");
}

static void nulls_and_empty_arrays_are_left_out(void **state)
{
    (void)state;
    expanded("{\"a\": null, \"b\": [], \"c\": 1}", "{\"c\":1}");
    expanded("{\"a\": {\"b\": null}, \"\": null}", "{\"a\":{}}");
    expanded("{\"a\": [1, null, 2]}", "{\"a\":[1,null,2]}");
    expanded("{\"a\": [null, 1]}", "{\"a\":[null,1]}");
    expanded("{\"a\": [[1], [], null]}", "{\"a\":[[1],[],null]}");
}

static void objects_in_an_array_have_the_same_members(void **state)
{
    (void)state;
    expanded("{\"a\": [{\"x\": 1}, {\"x\": null, \"y\": \"b\"}, null]}",
             "{\"a\":[{\"x\":1,\"y\":null},{\"x\":null,\"y\":\"b\"},null]}");
    expanded("[{\"x\": [{\"y\": 1}]}, {\"x\": []}]", "[{\"x\":[{\"y\":1}]},{\"x\":[]}]");
}

/* What no schema fits is sent as Kafka Connect sends a text. */
static void what_has_no_schema_stays_a_text(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"a\": [1, \"x\"]}", "\"{\\\"a\\\": [1, \\\"x\\\"]}\""},
        {"{\"a\": [1, 1.5]}", "\"{\\\"a\\\": [1, 1.5]}\""},
        {"{\"a\": [1, 3000000000]}", "\"{\\\"a\\\": [1, 3000000000]}\""},
        {"{\"a\": [null]}", "\"{\\\"a\\\": [null]}\""},
        {"{\"a\": [[], [1]]}", "\"{\\\"a\\\": [[], [1]]}\""},
        {"{\"a\": [[1], [\"x\"]]}", "\"{\\\"a\\\": [[1], [\\\"x\\\"]]}\""},
        {"[{\"a\": 1}, {\"a\": \"x\"}]", "\"[{\\\"a\\\": 1}, {\\\"a\\\": \\\"x\\\"}]\""},
        {"{\"a\": 9223372036854775808}", "\"{\\\"a\\\": 9223372036854775808}\""},
        {"{\"\": 1}", "\"{\\\"\\\": 1}\""},
        {"{\"a\": 1e400}", "\"{\\\"a\\\": 1e400}\""},
        {"\"text\"", "\"\\\"text\\\"\""},
        {"12", "\"12\""},
        {"null", "\"null\""},
        {"[]", "\"[]\""},
        {" {\"a\": 1}", "\" {\\\"a\\\": 1}\""},
        {"{\"a\"", "\"{\\\"a\\\"\""},
    };
    for (size_t i = 0; i < N(cases); i++) {
        expanded(cases[i][0], cases[i][1]);
    }
    check_value(true, false, PAYLOAD_TEXT, SLICE_LITERAL("no JSON"), "\"no JSON\"");
    check_value(true, false, PAYLOAD_TEXT, SLICE_LITERAL("{\"a\": 1}"), "{\"a\":1}");
    check_value(true, false, PAYLOAD_BYTES, SLICE_LITERAL("\x01\x02"), "\"AQI=\"");
    check_value(true, false, PAYLOAD_JSON, SLICE_NULL, NULL);
}

static void a_payload_of_blanks_may_be_null(void **state)
{
    (void)state;
    check_value(false, true, PAYLOAD_TEXT, SLICE_LITERAL(" \t\n"), NULL);
    check_value(false, true, PAYLOAD_TEXT, SLICE_LITERAL(""), NULL);
    check_value(false, true, PAYLOAD_TEXT, SLICE_LITERAL(" x "), " x ");
    check_value(false, false, PAYLOAD_TEXT, SLICE_LITERAL(""), "");
    check_value(true, true, PAYLOAD_TEXT, SLICE_LITERAL(" "), NULL);
    check_value(true, true, PAYLOAD_JSON, SLICE_LITERAL("{}"), "{}");
}

static void a_payload_that_is_no_text_is_poison(void **state)
{
    (void)state;
    const struct encode_conf conf = {.format = &format_payload, .expand_json = true};
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err;
    e->id = SLICE_LITERAL("i");
    e->payload = SLICE_LITERAL("\xFF");
    e->payload_kind = PAYLOAD_TEXT;
    assert_int_equal(encode_message(&conf, e, &b->arena, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
    batch_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_written_anew),
        cmocka_unit_test(numbers_are_java_s),
        cmocka_unit_test(nulls_and_empty_arrays_are_left_out),
        cmocka_unit_test(objects_in_an_array_have_the_same_members),
        cmocka_unit_test(what_has_no_schema_stays_a_text),
        cmocka_unit_test(a_payload_of_blanks_may_be_null),
        cmocka_unit_test(a_payload_that_is_no_text_is_poison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
