/* The payload is found again in what each format makes, and only there. */
#include "one_event.h"

static void assert_found(struct batch *b, const struct format_ops *format, const char *expected)
{
    const struct encode_conf conf = {.format = format, .name = "shop"};
    b->events->out_headers_count = 0;
    encode(b, &conf);
    struct slice payload = encode_payload_in(conf.format, b->events->value);
    if (!slice_equal_str(payload, expected)) {
        fail_msg("%s: %.*s", format_name(format), SLICE_FMT(payload));
    }
}

static void test_every_format_of_outbox_events(void **state)
{
    struct batch *b = *state;
    static const struct format_ops *const formats[] = {
        &format_payload, &format_json, &format_cloudevents, &format_cloudevents_json};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        assert_found(b, formats[i], "{\"a\":1}");
    }
    b->events->payload = SLICE_LITERAL("x");
    b->events->payload_kind = PAYLOAD_BYTES;
    assert_found(b, &format_payload, "x");
    assert_found(b, &format_json, "\"eA==\"");
    assert_found(b, &format_cloudevents_json, "\"eA==\"");
    b->events->payload_kind = PAYLOAD_TEXT;
    assert_found(b, &format_json, "\"x\"");
}

/* What was sent again has one more header, and the same payload. */
static void test_the_rest_of_the_value_does_not_count(void **state)
{
    struct batch *b = *state;
    b->events->headers = SLICE_LITERAL("{\"payload\":2,\"replayed\":\"r\"}");
    b->events->position = SLICE_LITERAL("0/1:1");
    assert_found(b, &format_json, "{\"a\":1}");
}

static void test_what_the_format_does_not_make(void **state UNUSED)
{
    const struct format_ops *json = &format_json;
    static const char *const texts[] = {"",
                                        "no JSON",
                                        "[1]",
                                        "{\"payload\":1",
                                        "{\"data\":1}",
                                        "{\"payload_base\":1}",
                                        "{\"payload\":1} x"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_string_equal(encode_payload_in(json, slice_from(texts[i])).ptr, texts[i]);
    }
    assert_true(slice_is_null(encode_payload_in(json, SLICE_NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_format_of_outbox_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_rest_of_the_value_does_not_count, setup, teardown),
        cmocka_unit_test(test_what_the_format_does_not_make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
