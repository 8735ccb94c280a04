/* JSON lines, CSV and key_value, byte by byte. */
#include "unit.h"

#include "message/encode.h"
#include "model/field.h"
#include "value/base64.h"
#include <jansson.h>

#define N(array) (sizeof(array) / sizeof *(array))
#define S(s) SLICE_LITERAL(s)

static struct event sample(void)
{
    return (struct event){
        .id = S("i-1"),
        .type = S("created"),
        .aggregatetype = S("order"),
        .aggregateid = S("42"),
        .payload = S("{\"a\":1}"),
        .created_at_us = INT64_C(1795255200123456),
        .position = S("7"),
        .topic = S("t.order"),
        .key = S("42"),
        .headers = S("{\"trace\": \"abc\"}"),
    };
}

static void expect_line(const struct event *e, const char *want)
{
    CLEANUP(buf_release) struct buf line = {0};
    struct error err;
    buf_add_str(&line, "before ");
    if (encode_json_line(&line, e, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_memory_equal(line.data, "before ", 7);
    assert_string_equal(line.data + 7, want);
    json_t *json = json_loads(line.data + 7, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    assert_int_equal(json_object_size(json), 10);
    json_decref(json);
}

static void json_lines(void **state)
{
    (void)state;
    struct event e = sample();
    expect_line(
        &e,
        "{\"id\":\"i-1\",\"type\":\"created\",\"aggregatetype\":\"order\",\"aggregateid\":\"42\","
        "\"topic\":\"t.order\",\"key\":\"42\",\"headers\":{\"trace\": "
        "\"abc\"},\"payload\":{\"a\":1},"
        "\"created_at\":\"2026-11-21T10:00:00.123456Z\",\"position\":\"7\"}");
    e.headers = e.topic = e.key = e.payload = e.type = SLICE_NULL;
    e.created_at_us = TIME_NONE;
    expect_line(&e,
                "{\"id\":\"i-1\",\"type\":null,\"aggregatetype\":\"order\",\"aggregateid\":\"42\","
                "\"topic\":null,\"key\":null,\"headers\":{},\"payload\":null,\"created_at\":null,"
                "\"position\":\"7\"}");
    e = sample();
    e.id = S("q\"\\/\b\f\n\r\t\x01\x1f\x7f\xc3\xa4\xf0\x9f\x98\x80");
    e.type = (struct slice){"a\0b", 3};
    e.aggregateid = S("");
    e.created_at_us = TIME_NONE;
    e.created_at = S("infinity");
    expect_line(
        &e, "{\"id\":\"q\\\"\\\\/"
            "\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\xc3\xa4\xf0\x9f\x98\x80\",\"type\":\"a\\u0000b\","
            "\"aggregatetype\":\"order\",\"aggregateid\":\"\",\"topic\":\"t.order\",\"key\":\"42\","
            "\"headers\":{\"trace\": "
            "\"abc\"},\"payload\":{\"a\":1},\"created_at\":\"infinity\",\"position\":\"7\"}");
}

static void expect_payload(enum payload_kind kind, struct slice payload, const char *want)
{
    struct event e = sample();
    e.payload = payload;
    e.payload_kind = kind;
    CLEANUP(buf_release) struct buf line = {0};
    struct error err = {0};
    if (encode_json_line(&line, &e, &err) < 0) {
        assert_int_equal(err.class, ERROR_POISON);
        assert_int_equal(line.len, 0); /* nothing half done stays */
        assert_null(want);
        return;
    }
    CLEANUP(buf_release) struct buf member = {0};
    buf_printf(&member, "\"abc\"},%s,\"created_at\":", want ? want : "(poison)");
    if (!strstr(line.data, member.data)) {
        fail_msg("%s is not in %s", member.data, line.data);
    }
    assert_null(strchr(line.data, '\n'));
}

static void payloads_in_json_lines(void **state)
{
    (void)state;
    expect_payload(PAYLOAD_JSON, S("null"), "\"payload\":null");
    expect_payload(PAYLOAD_JSON, S(" [1,\r\n\t2] \n"), "\"payload\": [1,  \t2]  ");
    expect_payload(PAYLOAD_JSON, S("\"a\\nb\""), "\"payload\":\"a\\nb\"");
    expect_payload(PAYLOAD_JSON, S("{\"n\":1e999999}"), "\"payload\":{\"n\":1e999999}");
    expect_payload(PAYLOAD_JSON, S("{\"a\":\"\\u0000\"}"), "\"payload\":{\"a\":\"\\u0000\"}");
    expect_payload(PAYLOAD_JSON, S(""), NULL);
    expect_payload(PAYLOAD_JSON, S("{"), NULL);
    expect_payload(PAYLOAD_JSON, S("NaN"), NULL);
    expect_payload(PAYLOAD_JSON, S("{\"a\":1}}"), NULL); /* would end our own object */
    expect_payload(PAYLOAD_JSON, S("1,\"id\":2"), NULL);
    expect_payload(PAYLOAD_JSON, S("\"\xff\""), NULL);
    expect_payload(PAYLOAD_TEXT, S("{\"a\":1}"), "\"payload\":\"{\\\"a\\\":1}\"");
    expect_payload(PAYLOAD_TEXT, S(""), "\"payload\":\"\"");
    expect_payload(PAYLOAD_TEXT, S("a\nb"), "\"payload\":\"a\\nb\"");
    expect_payload(PAYLOAD_TEXT, S("\xc3"), NULL);
    expect_payload(PAYLOAD_BYTES, S("\xff\xfe"), "\"payload_base64\":\"//4=\"");
    expect_payload(PAYLOAD_BYTES, S(""), "\"payload_base64\":\"\"");
    expect_payload(PAYLOAD_BYTES, SLICE_NULL, "\"payload\":null");
}

static void bad_columns_are_poison(void **state)
{
    (void)state;
    static const char *const headers[] = {"[]", "null", "{", "", "{\"a\":1}x", "{\"a\":\"\xff\"}"};
    struct error err = {0};
    CLEANUP(buf_release) struct buf line = {0};
    buf_add_str(&line, "before");
    for (size_t i = 0; i < N(headers); i++) {
        struct event e = sample();
        e.headers = slice_from(headers[i]);
        assert_int_equal(encode_json_line(&line, &e, &err), -1);
        assert_int_equal(err.class, ERROR_POISON);
        assert_non_null(strstr(err.text, "headers column"));
    }
    struct event e = sample();
    e.key = S("\xff");
    assert_int_equal(encode_json_line(&line, &e, &err), -1);
    assert_non_null(strstr(err.text, "the key is not UTF-8"));
    assert_string_equal(buf_str(&line), "before");
    e = sample();
    e.headers = S("{\n\"a\":\n1}");
    assert_int_equal(encode_json_line(&line, &e, &err), 0);
    assert_non_null(strstr(line.data, "\"headers\":{ \"a\": 1}"));
}

static void csv_values(void **state)
{
    (void)state;
    static const struct {
        struct slice value;
        char delimiter;
        const char *want;
    } cases[] = {
        {{NULL, 0}, ',', ""},         {S(""), ',', "\"\""},
        {S("abc"), ',', "abc"},       {S(" a b "), ',', " a b "},
        {S("a,b"), ',', "\"a,b\""},   {S("a,b"), ';', "a,b"},
        {S("a;b"), ';', "\"a;b\""},   {S("a\tb"), '\t', "\"a\tb\""},
        {S("\""), ',', "\"\"\"\""},   {S("say \"hi\"!"), ',', "\"say \"\"hi\"\"!\""},
        {S("a\nb"), ',', "\"a\nb\""}, {S("a\rb"), ',', "\"a\rb\""},
        {S("\xff"), ',', "\xff"},     {S("'"), ',', "'"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        CLEANUP(buf_release) struct buf out = {0};
        const struct encode_csv csv = {.delimiter = cases[i].delimiter, .null_text = ""};
        encode_csv_value(&out, &csv, cases[i].value, slice_is_null(cases[i].value));
        assert_string_equal(buf_str(&out), cases[i].want);
    }
}

static void kv_pairs(void **state)
{
    (void)state;
    static const struct {
        struct slice value;
        const char *want;
    } cases[] = {
        {{NULL, 0}, "n="},
        {S(""), "n=\"\""},
        {S("abc-1.5,{}:/"), "n=abc-1.5,{}:/"},
        {S("\xc3\xa4\xff"), "n=\xc3\xa4\xff"},
        {S("a b"), "n=\"a b\""},
        {S("a=b"), "n=\"a=b\""},
        {S("it's"), "n=\"it's\""},
        {S("\""), "n=\"\\\"\""},
        {S("a\\b"), "n=\"a\\\\b\""},
        {S("a\nb\rc\td"), "n=\"a\\nb\\rc\\td\""},
        {S("\x01\x1f\x7f"), "n=\"\\x01\\x1F\\x7F\""},
        {{"a\0b", 3}, "n=\"a\\x00b\""},
    };
    for (size_t i = 0; i < N(cases); i++) {
        CLEANUP(buf_release) struct buf out = {0};
        encode_kv_pair(&out, "n", cases[i].value);
        assert_string_equal(buf_str(&out), cases[i].want);
    }
}

static void created_at_prefers_the_clock(void **state)
{
    (void)state;
    char text[CLOCK_RFC3339_SIZE];
    struct event e = {.created_at_us = 0, .created_at = S("1970-01-01 00:00:00+00")};
    assert_true(slice_equal_str(event_created_at(&e, text), "1970-01-01T00:00:00.000000Z"));
    e.created_at_us = INT64_C(253402300800000000); /* year 10000 */
    e.created_at = S("10000-01-01 00:00:00+00");
    assert_true(slice_equal_str(event_created_at(&e, text), "10000-01-01 00:00:00+00"));
    e.created_at_us = TIME_NONE;
    assert_true(slice_equal_str(event_created_at(&e, text), "10000-01-01 00:00:00+00"));
    e.created_at = SLICE_NULL;
    assert_true(slice_is_null(event_created_at(&e, text)));
}

static void base64(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}}; /* RFC 4648, section 10 */
    for (size_t i = 0; i < N(cases); i++) {
        CLEANUP(buf_release) struct buf out = {0};
        base64_add(&out, slice_from(cases[i][0]));
        assert_string_equal(buf_str(&out), cases[i][1]);
    }
    /* More than one piece: as if it had been one. */
    CLEANUP(buf_release) struct buf in = {0}, out = {0};
    for (int i = 0; i < 200000; i++) {
        buf_add_char(&in, 'f');
    }
    base64_add(&out, buf_slice(&in));
    assert_int_equal(out.len, (200000 + 2) / 3 * 4);
    for (size_t i = 0; i + 4 < out.len; i += 4) {
        assert_memory_equal(out.data + i, "ZmZm", 4);
    }
    assert_string_equal(out.data + out.len - 4, "ZmY=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines),
        cmocka_unit_test(payloads_in_json_lines),
        cmocka_unit_test(bad_columns_are_poison),
        cmocka_unit_test(csv_values),
        cmocka_unit_test(kv_pairs),
        cmocka_unit_test(created_at_prefers_the_clock),
        cmocka_unit_test(base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
