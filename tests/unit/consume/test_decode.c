/* What a consumer makes of the bytes that it receives. */
#include "unit.h"

#include "consume/decode/decode.h"
#include <stdio.h>

static struct record *line_of(enum decode_format format, const char *line)
{
    const struct decode_conf conf = {.format = format, .flat_prefix = "__", .rows = true};
    const struct incoming in = {.stream = "p", .number = 7, .line = slice_from(line)};
    return decode(&conf, &in);
}

static struct record *message_of(enum decode_format format, const char *key, const char *value)
{
    const struct decode_conf conf = {.format = format, .flat_prefix = "__", .rows = true};
    const struct incoming in = {.stream = "t/0",
                                .number = 7,
                                .topic = SLICE_LITERAL("t"),
                                .key = slice_from(key),
                                .value = slice_from(value)};
    return decode(&conf, &in);
}

static void check(struct slice got, const char *want)
{
    if (!want) {
        assert_null(got.ptr);
        return;
    }
    assert_non_null(got.ptr);
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.ptr, want, got.len);
}

static void a_line_of_an_outbox(void **state)
{
    (void)state;
    const char *line =
        "{\"id\":\"e-1\",\"topic\":\"t\",\"key\":\"k\\u00e9\",\"payload\":{\"id\":1},"
        "\"position\":\"9\"}";
    struct record *r = line_of(DECODE_JSON, line);
    assert_string_equal(r->fault, "");
    check(r->id, "e-1");
    check(r->key, "k\xc3\xa9");
    check(r->line, line);
    check(r->position, "9");
    check(r->row, "{\"id\":1}");
    assert_int_equal(r->op, RECORD_UPSERT);
    assert_false(r->alone);
    record_free(r);
}

static void a_payload_in_a_string_is_a_row_too(void **state)
{
    (void)state;
    struct record *r =
        line_of(DECODE_JSON, "{\"id\":\"1\",\"payload\":\"{\\\"a\\\": \\\"x\\\"}\"}");
    assert_string_equal(r->fault, "");
    check(r->row, "{\"a\": \"x\"}");
    record_free(r);
}

static void a_row_goes(void **state)
{
    (void)state;
    struct record *r = line_of(DECODE_JSON, "{\"id\":\"1\",\"key\":\"k\",\"payload\":null}");
    assert_int_equal(r->op, RECORD_DELETE);
    check(r->row, NULL);
    record_free(r);
    r = line_of(DECODE_JSON, "{\"id\":\"1\",\"payload\":{\"id\":3,\"__deleted\":true}}");
    assert_int_equal(r->op, RECORD_DELETE);
    check(r->row, "{\"id\":3,\"__deleted\":true}");
    record_free(r);
    r = message_of(DECODE_PAYLOAD, "k", NULL);
    assert_int_equal(r->op, RECORD_DELETE);
    record_free(r);
    r = message_of(DECODE_PAYLOAD, NULL, NULL);
    assert_string_not_equal(r->fault, "");
    record_free(r);
}

static void what_is_no_event_is_a_fault(void **state)
{
    (void)state;
    static const char *const lines[] = {"",
                                        "no",
                                        "[]",
                                        "{\"id\":1,\"payload\":{}}",
                                        "{\"id\":\"1\"}",
                                        "{\"id\":\"1\",\"payload\":3}",
                                        "{\"id\":\"1\",\"payload\":{}"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct record *r = line_of(DECODE_JSON, lines[i]);
        assert_string_not_equal(r->fault, "");
        check(r->line, lines[i]); /* whole, for a dead letter */
        check(r->id, i < 4 ? "p/7" : "1");
        record_free(r);
    }
    struct record *r = message_of(DECODE_JSON, "k", NULL);
    assert_string_not_equal(r->fault, "");
    record_free(r);
    r = message_of(DECODE_PAYLOAD, "k", "\"\\u12\"");
    assert_string_not_equal(r->fault, "");
    record_free(r);
}

static void flat_rows(void **state)
{
    (void)state;
    struct record *r = line_of(
        DECODE_FLAT,
        "{\"id\":\"1\",\"payload\":{\"id\":2,\"__op\":\"u\",\"__lsn\":\"0/1F\",\"__old_key\":{\"id\":1}}}");
    assert_string_equal(r->fault, "");
    assert_int_equal(r->op, RECORD_UPSERT);
    check(r->old_key, "{\"id\":1}");
    check(r->position, "0/1F");
    assert_true(r->alone);
    record_free(r);
    r = line_of(DECODE_FLAT,
                "{\"id\":\"1\",\"payload\":{\"id\":2,\"__op\":\"u\",\"__unchanged\":[\"a\"]}}");
    assert_true(r->partial);
    record_free(r);
    r = message_of(DECODE_FLAT, NULL, "{\"__op\":\"t\",\"__deleted\":true}");
    assert_int_equal(r->op, RECORD_TRUNCATE);
    assert_true(r->alone);
    record_free(r);
    r = message_of(DECODE_FLAT, "{\"id\":2}", "{\"id\":2,\"__op\":\"d\"}");
    assert_int_equal(r->op, RECORD_DELETE);
    check(r->id, "t/0/7");
    record_free(r);
    r = message_of(DECODE_FLAT, NULL, "{\"id\":2}");
    assert_string_not_equal(r->fault, "");
    record_free(r);
    r = message_of(DECODE_FLAT, NULL, "{\"id\":2,\"__op\":\"x\"}");
    assert_string_not_equal(r->fault, "");
    record_free(r);
}

static void debezium_envelopes(void **state)
{
    (void)state;
    struct record *r = message_of(DECODE_DEBEZIUM, "{\"id\":1}",
                                  "{\"before\":null,\"after\":{\"id\":1},\"source\":{\"lsn\":31},"
                                  "\"op\":\"c\"}");
    assert_string_equal(r->fault, "");
    assert_int_equal(r->op, RECORD_UPSERT);
    check(r->row, "{\"id\":1}");
    check(r->position, "31");
    record_free(r);
    r = message_of(
        DECODE_DEBEZIUM, "{\"id\":1}",
        "{\"schema\":{},\"payload\":{\"before\":{\"id\":1},\"after\":null,\"op\":\"d\"}}");
    assert_int_equal(r->op, RECORD_DELETE);
    check(r->row, "{\"id\":1}");
    record_free(r);
    r = message_of(DECODE_DEBEZIUM, "{\"id\":1}", NULL);
    assert_int_equal(r->op, RECORD_NOTHING);
    assert_string_equal(r->fault, "");
    record_free(r);
    r = message_of(DECODE_DEBEZIUM, NULL, "{\"after\":null,\"op\":\"u\"}");
    assert_string_not_equal(r->fault, "");
    record_free(r);
}

static void a_line_is_made_where_none_came(void **state)
{
    (void)state;
    const struct decode_conf conf = {.format = DECODE_PAYLOAD};
    struct incoming in = {.stream = "t/0",
                          .number = 7,
                          .topic = SLICE_LITERAL("t"),
                          .key = SLICE_LITERAL("a\"b"),
                          .value = SLICE_LITERAL("{\"a\":\n1}"),
                          .id = SLICE_LITERAL("e"),
                          .type = SLICE_LITERAL("T"),
                          .headers = SLICE_LITERAL("{\"id\":\"e\"}")};
    struct record *r = decode(&conf, &in);
    check(r->line, "{\"id\":\"e\",\"type\":\"T\",\"topic\":\"t\",\"key\":\"a\\\"b\",\"headers\":{"
                   "\"id\":\"e\"},\"payload\":{\"a\": 1},\"position\":\"t/0/7\"}");
    record_free(r);
    in.value = SLICE_LITERAL("\xff\xfe");
    r = decode(&conf, &in);
    assert_non_null(strstr(r->line.ptr, "\"payload_base64\":\"//4=\""));
    assert_string_equal(r->fault, "");
    record_free(r);
}

/* Without an id of its own an event has its place, so that no two have the same one. */
static void every_event_has_an_id_of_its_own(void **state)
{
    (void)state;
    char topic[260], want[300];
    memset(topic, 't', 249);
    snprintf(topic + 249, sizeof topic - 249, "/1234");
    const struct decode_conf conf = {.format = DECODE_PAYLOAD};
    struct incoming in = {
        .stream = topic, .number = 123456789, .value = SLICE_LITERAL("{}"), .id = {"", 0}};
    snprintf(want, sizeof want, "%s/123456789", topic);
    for (int i = 0; i < 2; i++) {
        struct record *r = decode(&conf, &in);
        check(r->id, want);
        record_free(r);
        in.id = SLICE_NULL;
    }
    struct record *r = line_of(DECODE_JSON, "{\"id\":\"\",\"payload\":{}}");
    check(r->id, "p/7");
    record_free(r);
}

static void one_key_is_one_order(void **state)
{
    (void)state;
    struct record *a = message_of(DECODE_PAYLOAD, "k", "{}");
    struct record *b = message_of(DECODE_PAYLOAD, "k", "{\"x\":1}");
    struct record *c = message_of(DECODE_PAYLOAD, "l", "{}");
    assert_int_equal(a->order, b->order);
    assert_int_not_equal(a->order, c->order);
    record_free(a);
    record_free(b);
    record_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_an_outbox),
        cmocka_unit_test(a_payload_in_a_string_is_a_row_too),
        cmocka_unit_test(a_row_goes),
        cmocka_unit_test(what_is_no_event_is_a_fault),
        cmocka_unit_test(flat_rows),
        cmocka_unit_test(debezium_envelopes),
        cmocka_unit_test(a_line_is_made_where_none_came),
        cmocka_unit_test(every_event_has_an_id_of_its_own),
        cmocka_unit_test(one_key_is_one_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
