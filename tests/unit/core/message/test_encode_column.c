/* Columns of batch files: fields of the event, and values inside its payload and headers. */
#include "unit.h"

#include "message/encode.h"

#define N(array) (sizeof(array) / sizeof *(array))
#define S(s) SLICE_LITERAL(s)

static const char payload[] =
    "{\"total\": 12.50, \"buyer\":{\"zip\":\"0\\u0031\", \"tags\":[1,\n2], \"none\":null},"
    "\"paid\":true, \"twice\":1, \"tw\\u0069ce\":2, \"empty\":\"\", \"\\u0000\":3, \"a b\":\"x\"}";

static struct event sample(void)
{
    return (struct event){
        .id = S("i-1"),
        .type = S("created"),
        .aggregatetype = S("order"),
        .aggregateid = S("42"),
        .payload = slice_from(payload),
        .created_at_us = INT64_C(1795255200123456),
        .position = S("7"),
        .topic = S("t.order"),
        .key = S("\"42\""),
        .headers = S("{\"trace\": \"abc\"}"),
    };
}

static struct encode_column column(const char *name)
{
    struct encode_column c;
    assert_true(encode_column_from(name, &c));
    return c;
}

static const struct {
    const char *name, *text, *json; /* text NULL: null */
} values[] = {
    {"id", "i-1", "\"i-1\""},
    {"type", "created", "\"created\""},
    {"aggregatetype", "order", "\"order\""},
    {"aggregateid", "42", "\"42\""},
    {"topic", "t.order", "\"t.order\""},
    {"key", "\"42\"", "\"\\\"42\\\"\""},
    {"headers", "{\"trace\": \"abc\"}", "{\"trace\": \"abc\"}"},
    {"headers.trace", "abc", "\"abc\""},
    {"headers.nosuch", NULL, "null"},
    {"created_at", "2026-11-21T10:00:00.123456Z", "\"2026-11-21T10:00:00.123456Z\""},
    {"position", "7", "\"7\""},
    {"payload.total", "12.50", "12.50"},
    {"payload.buyer.zip", "01", "\"0\\u0031\""},
    {"payload.buyer.tags", "[1, 2]", "[1, 2]"},
    {"payload.buyer.none", NULL, "null"},
    {"payload.buyer.none.x", NULL, "null"},
    {"payload.total.x", NULL, "null"},
    {"payload.buyer.nosuch", NULL, "null"},
    {"payload.paid", "true", "true"},
    {"payload.twice", "2", "2"},
    {"payload.empty", "", "\"\""},
    {"payload.a b", "x", "\"x\""},
};

static void each_column(void **state)
{
    (void)state;
    struct event e = sample();
    struct event none = {.created_at_us = TIME_NONE};
    struct error err;
    for (size_t i = 0; i < N(values); i++) {
        CLEANUP(buf_release) struct buf text = {0}, json = {0};
        struct encode_column c = column(values[i].name);
        bool there = false;
        buf_add_str(&text, "+");
        assert_int_equal(encode_column_text(&text, &e, &c, &there, &err), RESULT_DONE);
        assert_int_equal(there, values[i].text != NULL);
        assert_string_equal(buf_str(&text) + 1, there ? values[i].text : "");
        assert_int_equal(encode_column_json(&json, &e, &c, &err), RESULT_DONE);
        assert_string_equal(buf_str(&json), values[i].json);
        buf_clear(&json);
        assert_int_equal(encode_column_text(&text, &none, &c, &there, &err), RESULT_DONE);
        assert_false(there);
        assert_int_equal(encode_column_json(&json, &none, &c, &err), RESULT_DONE);
        assert_string_equal(buf_str(&json), "null");
    }
}

static void names(void **state)
{
    (void)state;
    static const char *const unknown[] = {"",           "seq",        "id.x",      "payload.",
                                          "payload..a", "payload.a.", "headers..", "Payload.a"};
    struct encode_column c;
    for (size_t i = 0; i < N(unknown); i++) {
        assert_false(encode_column_from(unknown[i], &c));
    }
}

/* What is no object has no members; what is no JSON at all is a fault of the event. */
static void other_payloads(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        enum payload_kind kind;
        int rc;
    } cases[] = {
        {"[{\"total\":1}]", PAYLOAD_JSON, RESULT_DONE},
        {"7", PAYLOAD_JSON, RESULT_DONE},
        {"\"total\"", PAYLOAD_TEXT, RESULT_DONE},
        {" null ", PAYLOAD_JSON, RESULT_DONE},
        {"{\"total\":1", PAYLOAD_JSON, RESULT_ERROR},
        {"{} x", PAYLOAD_TEXT, RESULT_ERROR},
        {"", PAYLOAD_TEXT, RESULT_ERROR},
        {"{}", PAYLOAD_BYTES, RESULT_ERROR},
        {"{\"total\":\"\\u0000\"}", PAYLOAD_JSON, 2},
    };
    struct encode_column c = column("payload.total");
    for (size_t i = 0; i < N(cases); i++) {
        CLEANUP(buf_release) struct buf out = {0};
        struct event e = sample();
        struct error err = {0};
        bool there;
        e.payload = slice_from(cases[i].payload);
        e.payload_kind = cases[i].kind;
        int rc = encode_column_text(&out, &e, &c, &there, &err);
        assert_int_equal(rc, cases[i].rc == RESULT_DONE ? RESULT_DONE : RESULT_ERROR);
        if (rc) {
            assert_int_equal(err.class, ERROR_POISON);
        } else {
            assert_false(there);
        }
        rc = encode_column_json(&out, &e, &c, &err);
        assert_int_equal(rc, cases[i].rc == RESULT_ERROR ? RESULT_ERROR : RESULT_DONE);
    }
}

static void whole_payloads(void **state)
{
    (void)state;
    struct event e = sample();
    struct error err;
    struct encode_column c = column("payload");
    CLEANUP(buf_release) struct buf out = {0};
    bool there;
    e.payload = S("{\"a\":\n1}");
    assert_int_equal(encode_column_json(&out, &e, &c, &err), RESULT_DONE);
    assert_string_equal(buf_str(&out), "{\"a\": 1}");
    buf_clear(&out);
    e.payload_kind = PAYLOAD_TEXT;
    assert_int_equal(encode_column_json(&out, &e, &c, &err), RESULT_DONE);
    assert_string_equal(buf_str(&out), "\"{\\\"a\\\":\\n1}\"");
    buf_clear(&out);
    e.payload_kind = PAYLOAD_BYTES;
    assert_int_equal(encode_column_text(&out, &e, &c, &there, &err), RESULT_DONE);
    assert_string_equal(buf_str(&out), "eyJhIjoKMX0=");
    e.payload_kind = PAYLOAD_JSON;
    e.payload = S("{");
    assert_int_equal(encode_column_json(&out, &e, &c, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
    e.id = S("\xff");
    c = column("id");
    assert_int_equal(encode_column_json(&out, &e, &c, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_column),
        cmocka_unit_test(names),
        cmocka_unit_test(other_payloads),
        cmocka_unit_test(whole_payloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
