/* A message carries its id and its payload untouched, and what no header can hold is poison. */
#include "one_event.h"

#define N(array) (sizeof(array) / sizeof *(array))

static const char *const default_headers[] = {"id", "type", "created_at"};
static const struct encode_conf default_conf = {
    .format = &format_payload, .headers = default_headers, .headers_count = 3};

/* "name=value;..." of all headers, null as (null). */
static void expect_headers(struct batch *b, const char *want)
{
    CLEANUP(buf_release) struct buf got = {0};
    for (size_t i = 0; i < b->events->out_headers_count; i++) {
        const struct header *h = &b->events->out_headers[i];
        buf_add_slice(&got, h->name);
        buf_add_char(&got, '=');
        buf_add_slice(&got, slice_is_null(h->value) ? SLICE_LITERAL("(null)") : h->value);
        buf_add_char(&got, ';');
    }
    assert_string_equal(buf_str(&got), want);
}

#define OWN "id=i-1;type=created;created_at=2026-11-21T10:00:00.123456Z;"

static void payload_passes_untouched(void **state)
{
    struct batch *b = *state;
    static const char bytes[] = "{\"a\":\n not JSON \xff\0";
    b->events->payload = (struct slice){bytes, sizeof bytes};
    encode(b, &default_conf);
    assert_ptr_equal(b->events->value.ptr, bytes); /* not even copied */
    assert_int_equal(b->events->value.len, sizeof bytes);
    expect_headers(b, OWN);
    b->events->payload = SLICE_NULL;
    encode(b, &default_conf);
    assert_true(slice_is_null(b->events->value));
    expect_headers(b, OWN);
    b->events->payload = SLICE_LITERAL("");
    encode(b, &default_conf);
    assert_false(slice_is_null(b->events->value));
}

static void headers_come_in_the_configured_order(void **state)
{
    struct batch *b = *state;
    static const char *const all[] = {"position", "aggregatetype", "created_at",
                                      "id",       "type",          "aggregateid"};
    encode(b, &(struct encode_conf){.format = &format_payload, .headers = all, .headers_count = 6});
    expect_headers(b,
                   "position=7;aggregatetype=order;created_at=2026-11-21T10:00:00.123456Z;id=i-1;"
                   "type=created;aggregateid=42;");
    encode(b, &(struct encode_conf){.format = &format_payload, .headers = all, .headers_count = 1});
    expect_headers(b, "position=7;id=i-1;"); /* the id is always there */
    encode(b,
           &(struct encode_conf){.format = &format_payload, .headers = NULL, .headers_count = 0});
    expect_headers(b, "id=i-1;");
    b->events->type = SLICE_NULL;
    b->events->created_at_us = TIME_NONE;
    encode(b, &default_conf);
    expect_headers(b, "id=i-1;type=(null);created_at=(null);");
    b->events->created_at = SLICE_LITERAL("infinity");
    encode(b, &default_conf);
    expect_headers(b, "id=i-1;type=(null);created_at=infinity;");
}

static void members_become_headers(void **state)
{
    struct batch *b = *state;
    static const struct {
        const char *column, *want;
    } cases[] = {
        {"{}", OWN},
        {" { } ", OWN},
        {"{\"trace\":\"abc\"}", OWN "trace=abc;"},
        {"{\"s\":\"\",\"n\":null,\"i\":1.50,\"t\":true,\"f\":false}",
         OWN "s=;n=(null);i=1.50;t=true;f=false;"},
        {"{\"o\":{\"a\": [1, \"x\"]},\"l\":[]}", OWN "o={\"a\": [1, \"x\"]};l=[];"},
        {"{\"e\":\"a\\\"\\n\\u00e4\\ud83d\\ude00\"}", OWN "e=a\"\n\xc3\xa4\xf0\x9f\x98\x80;"},
        {"{\"n\\u00e4me\":\"x\"}", OWN "n\xc3\xa4me=x;"},
        {"{\"d\":\"1\",\"d\":\"2\",\"c\":\"3\"}", OWN "d=1;d=2;c=3;"},
        {"{\"id\":\"forged\",\"ID\":\"x\",\"created_at\":1,\"ty\\u0070e\":\"y\",\"position\":9}",
         OWN "ID=x;position=9;"}, /* ours win, even over an escaped name */
        {"{\"c\":\"a\\u0001b\"}", OWN "c=a\x01"
                                      "b;"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        b->events->headers = slice_from(cases[i].column);
        encode(b, &default_conf);
        expect_headers(b, cases[i].want);
    }
}

static void bad_headers_are_poison(void **state)
{
    struct batch *b = *state;
    static const struct {
        const char *column, *text;
    } cases[] = {
        {"", "not a JSON object (byte 0)"},
        {"null", "not a JSON object"},
        {"[]", "not a JSON object"},
        {"\"x\"", "not a JSON object"},
        {"trace=abc", "not a JSON object"},
        {"{\"a\":1", "not a JSON object (byte 6)"},
        {"{\"a\":1,}", "not a JSON object"},
        {"{\"a\":1} x", "not a JSON object"},
        {"{\"a\":NaN}", "not a JSON object"},
        {"{\"a\":{\"b\":}}", "not a JSON object"},
        {"{\"a\":\"\xff\"}", "not a JSON object"},
        {"{\"a\":\"x\ny\"}", "not a JSON object"},
        {"{\"a\":\"\\u0000\"}", "in \"a\""},
        {"{\"b\":\"\\ud800\"}", "in \"b\""},
        {"{\"a\\u0000b\":1}", "control character"},
        {"{\"a\\nb\":1}", "control character"},
        {"{\"a\x7f\":1}", "control character"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        struct error err = {0};
        b->events->headers = slice_from(cases[i].column);
        if (encode_message(&default_conf, b->events, &b->arena, &err) != -1 ||
            err.class != ERROR_POISON || !strstr(err.text, cases[i].text)) {
            fail_msg("%s: %s", cases[i].column, err.text);
        }
    }
    struct error err = {0};
    b->events->headers = SLICE_NULL;
    b->events->id = SLICE_NULL;
    assert_int_equal(encode_message(&default_conf, b->events, &b->arena, &err), -1);
    assert_int_equal(err.class, ERROR_POISON);
}

static int encode_with_members(struct batch *b, int n, struct error *err)
{
    CLEANUP(buf_release) struct buf column = {0};
    for (int i = 0; i < n; i++) {
        buf_printf(&column, "%c\"h%d\":\"v\"", i ? ',' : '{', i);
    }
    buf_add_char(&column, '}');
    b->events->headers = arena_copy(&b->arena, buf_slice(&column));
    return encode_message(&default_conf, b->events, &b->arena, err);
}

static void a_thousand_members_are_the_limit(void **state)
{
    struct batch *b = *state;
    struct error err = {0};
    assert_int_equal(encode_with_members(b, 1000, &err), 0);
    assert_int_equal(b->events->out_headers_count, 1003);
    assert_true(slice_equal_str(b->events->out_headers[1002].name, "h999"));
    assert_int_equal(encode_with_members(b, 1001, &err), -1);
    assert_int_equal(err.class, ERROR_POISON);
    assert_non_null(strstr(err.text, "more than 1000"));
}

static void json_format_is_the_line(void **state)
{
    struct batch *b = *state;
    struct encode_conf conf = {
        .format = &format_json, .headers = default_headers, .headers_count = 3};
    struct error err;
    b->events->headers = SLICE_LITERAL("{\"trace\":\"abc\"}");
    b->events->topic = SLICE_LITERAL("t");
    encode(b, &conf);
    CLEANUP(buf_release) struct buf line = {0};
    assert_int_equal(encode_json_line(&line, b->events, &err), 0);
    assert_true(slice_equal(b->events->value, buf_slice(&line)));
    expect_headers(b, OWN "trace=abc;");
    b->events->payload = SLICE_LITERAL("{nope}");
    assert_int_equal(encode_message(&conf, b->events, &b->arena, &err), -1);
    assert_int_equal(err.class, ERROR_POISON);
    b->events->payload = SLICE_NULL;
    encode(b, &conf);
    assert_non_null(strstr(b->events->value.ptr, "\"payload\":null"));
}

static void header_names_are_checked(void **state)
{
    (void)state;
    static const char *const all[] = {"id",          "type",    "created_at", "aggregatetype",
                                      "aggregateid", "position"};
    struct error err;
    assert_int_equal(
        encode_check(
            &(struct encode_conf){.format = &format_payload, .headers = all, .headers_count = 6},
            &err),
        0);
    assert_int_equal(
        encode_check(
            &(struct encode_conf){.format = &format_payload, .headers = NULL, .headers_count = 0},
            &err),
        0);
    static const char *const unknown[] = {"", "ids", "ID", "payload", "topic", "created_a", "key"};
    for (size_t i = 0; i < N(unknown); i++) {
        const char *names[] = {"id", unknown[i]};
        assert_int_equal(encode_check(&(struct encode_conf){.format = &format_payload,
                                                            .headers = names,
                                                            .headers_count = 2},
                                      &err),
                         -1);
        assert_int_equal(err.class, ERROR_CONFIG);
    }
    static const char *const twice[] = {"id", "type", "id"};
    assert_int_equal(
        encode_check(
            &(struct encode_conf){.format = &format_payload, .headers = twice, .headers_count = 3},
            &err),
        -1);
}

static void configured_headers_travel_with_the_row_s(void **state)
{
    struct batch *b = *state;
    struct event *e = b->events;
    struct error err = {0};
    const struct header more[] = {{SLICE_LITERAL("eventType"), SLICE_LITERAL("a \"b\"")},
                                  {SLICE_LITERAL("none"), SLICE_NULL},
                                  {SLICE_LITERAL("origin"), SLICE_LITERAL("")}};
    static const struct encode_conf conf = {.format = &format_payload};
    assert_int_equal(encode_add_headers(e, more, 0, &b->arena, &err), 0);
    assert_true(slice_is_null(e->headers)); /* nothing asked for, nothing made */
    assert_int_equal(encode_add_headers(e, more, 3, &b->arena, &err), 0);
    assert_true(slice_equal_str(e->headers,
                                "{\"eventType\":\"a \\\"b\\\"\",\"none\":null,\"origin\":\"\"}"));
    encode(b, &conf);
    expect_headers(b, "id=i-1;eventType=a \"b\";none=(null);origin=;");
    /* The row's own come behind; ours win, however the name is written there. */
    e->headers = SLICE_LITERAL("{\"x\":\"\\u00e9\", \"origin\":1, \"\\u006eone\":2, \"y\":[1, 2]}");
    assert_int_equal(encode_add_headers(e, more, 3, &b->arena, &err), 0);
    encode(b, &conf);
    expect_headers(b, "id=i-1;eventType=a \"b\";none=(null);origin=;x=\xc3\xa9;y=[1, 2];");
    e->headers = SLICE_LITERAL("{}");
    assert_int_equal(encode_add_headers(e, more, 1, &b->arena, &err), 0);
    assert_true(slice_equal_str(e->headers, "{\"eventType\":\"a \\\"b\\\"\"}"));
    static const char *const bad[] = {"[]", "{\"a\":}", "x", "{} {}"};
    for (size_t i = 0; i < N(bad); i++) {
        e->headers = slice_from(bad[i]);
        assert_int_equal(encode_add_headers(e, more, 1, &b->arena, &err), -1);
        assert_int_equal(err.class, ERROR_POISON);
    }
    e->headers = SLICE_NULL;
    const struct header not_text[] = {{SLICE_LITERAL("h"), SLICE_LITERAL("\xff")},
                                      {SLICE_LITERAL("h"), SLICE_LITERAL("a\0b")}};
    for (size_t i = 0; i < N(not_text); i++) {
        assert_int_equal(encode_add_headers(e, &not_text[i], 1, &b->arena, &err), -1);
        assert_int_equal(err.class, ERROR_POISON);
        assert_non_null(strstr(err.text, "header h"));
    }
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(payload_passes_untouched),
        CASE(headers_come_in_the_configured_order),
        CASE(members_become_headers),
        CASE(bad_headers_are_poison),
        CASE(a_thousand_members_are_the_limit),
        CASE(json_format_is_the_line),
        CASE(configured_headers_travel_with_the_row_s),
        cmocka_unit_test(header_names_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
