/* What goes out as a CloudEvent is one by the letter of CloudEvents 1.0. */
#include "one_event.h"

static const char *const only_id[] = {"id"};

static struct encode_conf conf_of(const struct format_ops *format)
{
    return (struct encode_conf){
        .format = format, .headers = only_id, .headers_count = 1, .name = "shop"};
}

static void expect_headers(struct batch *b, const char *want)
{
    CLEANUP(buf_release) struct buf got = {0};
    for (size_t i = 0; i < b->events->out_headers_count; i++) {
        const struct header *h = &b->events->out_headers[i];
        buf_printf(&got, "%.*s=%.*s;", SLICE_FMT(h->name), SLICE_FMT(h->value));
    }
    assert_string_equal(buf_str(&got), want);
}

static void expect_message(struct batch *b, const char *want)
{
    CLEANUP(buf_release) struct buf got = {0};
    buf_add_slice(&got, b->events->value);
    assert_string_equal(buf_str(&got), want);
}

static void expect_poison(struct batch *b, const struct format_ops *format, const char *word)
{
    struct error err = {0};
    struct encode_conf conf = conf_of(format);
    assert_int_equal(encode_message(&conf, b->events, &b->arena, &err), -1);
    assert_int_equal(err.class, ERROR_POISON);
    assert_non_null(strstr(err.text, word));
}

static void binary_mode_has_attributes_as_headers(void **state)
{
    struct batch *b = *state;
    struct encode_conf conf = conf_of(&format_cloudevents);
    b->events->headers = SLICE_LITERAL("{\"trace\":\"t\",\"ce_id\":\"x\",\"content-type\":\"y\"}");
    encode(b, &conf);
    assert_ptr_equal(b->events->value.ptr, b->events->payload.ptr);
    expect_headers(b, "id=i-1;ce_specversion=1.0;ce_id=i-1;ce_source=/commitrelay/shop;"
                      "ce_type=created;ce_time=2026-11-21T10:00:00.123456Z;ce_subject=42;"
                      "ce_aggregatetype=order;content-type=application/json;trace=t;");
}

static void structured_mode_is_one_json_object(void **state)
{
    struct batch *b = *state;
    struct encode_conf conf = conf_of(&format_cloudevents_json);
    conf.source = "https://shop.example/orders";
    encode(b, &conf);
    expect_headers(b, "id=i-1;content-type=application/cloudevents+json; charset=UTF-8;");
    expect_message(b, "{\"specversion\":\"1.0\",\"id\":\"i-1\","
                      "\"source\":\"https://shop.example/orders\",\"type\":\"created\","
                      "\"time\":\"2026-11-21T10:00:00.123456Z\",\"subject\":\"42\","
                      "\"aggregatetype\":\"order\",\"datacontenttype\":\"application/json\","
                      "\"data\":{\"a\":1}}");
}

static void data_is_named_by_its_kind(void **state)
{
    struct batch *b = *state;
    struct encode_conf conf = conf_of(&format_cloudevents_json);
    struct event *e = b->events;
    e->aggregatetype = e->aggregateid = SLICE_NULL; /* attributes without a value are left out */
    e->created_at = SLICE_LITERAL("infinity");
    e->created_at_us = TIME_NONE;
    e->payload = SLICE_LITERAL("a \"b\"");
    e->payload_kind = PAYLOAD_TEXT;
#define LEAD                                                                    \
    "{\"specversion\":\"1.0\",\"id\":\"i-1\",\"source\":\"/commitrelay/shop\"," \
    "\"type\":\"created\""
    encode(b, &conf);
    expect_message(b, LEAD
                   ",\"datacontenttype\":\"text/plain; charset=UTF-8\",\"data\":\"a \\\"b\\\"\"}");
    e->payload = SLICE_LITERAL("\xff");
    e->payload_kind = PAYLOAD_BYTES;
    encode(b, &conf);
    expect_message(b, LEAD ",\"datacontenttype\":\"application/octet-stream\","
                           "\"data_base64\":\"/w==\"}");
    e->payload = SLICE_NULL; /* no data, so nothing that tells its type */
    encode(b, &conf);
    expect_message(b, LEAD "}");
    conf.format = &format_cloudevents;
    encode(b, &conf);
    assert_true(slice_is_null(e->value));
    expect_headers(b, "id=i-1;ce_specversion=1.0;ce_id=i-1;ce_source=/commitrelay/shop;"
                      "ce_type=created;");
}

static void a_change_says_what_and_where(void **state)
{
    struct batch *b = *state;
    struct change change = {.op = CHANGE_UPDATE};
    struct encode_conf conf = conf_of(&format_cloudevents);
    struct event *e = b->events;
    e->change = &change;
    e->of_change = true;
    e->type = SLICE_LITERAL("u");
    e->aggregatetype = SLICE_LITERAL("public.orders");
    e->aggregateid = SLICE_LITERAL("{\"id\":1}");
    encode(b, &conf);
    expect_headers(b, "id=i-1;ce_specversion=1.0;ce_id=i-1;ce_source=/commitrelay/shop;"
                      "ce_type=commitrelay.change.u;ce_time=2026-11-21T10:00:00.123456Z;"
                      "ce_subject=public.orders/{\"id\":1};ce_aggregatetype=public.orders;"
                      "content-type=application/json;");
    e->aggregateid = SLICE_NULL; /* a table without a key */
    encode(b, &conf);
    assert_true(slice_equal_str(e->out_headers[6].value, "public.orders"));
}

static void what_no_attribute_may_hold_is_poison(void **state)
{
    struct batch *b = *state;
    struct event *e = b->events;
    static const struct format_ops *const formats[] = {&format_cloudevents,
                                                       &format_cloudevents_json};
    for (size_t k = 0; k < sizeof formats / sizeof *formats; k++) {
        const struct format_ops *f = formats[k];
        static const char *const bad[] = {"a\tb", "a\x7f", "a\xc2\x85", "\xff"};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            e->aggregateid = slice_from(bad[i]);
            expect_poison(b, f, "subject");
        }
        e->aggregateid = SLICE_LITERAL("gr\xc3\xbc\xc3\x9f"); /* plain letters are none of them */
        struct encode_conf conf = conf_of(f);
        encode(b, &conf);
        e->type = SLICE_NULL;
        expect_poison(b, f, "type");
        e->type = SLICE_LITERAL("created");
        e->id = SLICE_LITERAL("");
        expect_poison(b, f, "id");
        e->id = SLICE_LITERAL("i-1");
    }
    e->payload = SLICE_LITERAL("{");
    expect_poison(b, &format_cloudevents_json, "not valid JSON");
}

static void a_source_is_a_uri_reference(void **state)
{
    (void)state;
    struct error err = {0};
    struct encode_conf conf = conf_of(&format_cloudevents);
    conf.source = "a b";
    assert_int_equal(encode_check(&conf, &err), -1);
    assert_int_equal(err.class, ERROR_CONFIG);
    conf.source = "urn:shop:%20";
    assert_int_equal(encode_check(&conf, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(binary_mode_has_attributes_as_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(structured_mode_is_one_json_object, setup, teardown),
        cmocka_unit_test_setup_teardown(data_is_named_by_its_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(a_change_says_what_and_where, setup, teardown),
        cmocka_unit_test_setup_teardown(what_no_attribute_may_hold_is_poison, setup, teardown),
        cmocka_unit_test(a_source_is_a_uri_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
