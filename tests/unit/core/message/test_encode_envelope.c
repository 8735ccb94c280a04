/* Columns beside an outbox's payload, as Debezium's router and Kafka Connect's JSON converter write
 * them. */
#include "formats.h"
#include "unit.h"

#include "base/buf.h"
#include "message/encode.h"

static struct encode_conf conf_of(bool expand, bool blank_is_null)
{
    return (struct encode_conf){.format = &format_payload,
                                .expand_json = expand,
                                .blank_is_null = blank_is_null,
                                .envelope = true};
}

static void check_value(struct encode_conf conf, enum payload_kind kind, struct slice payload,
                        const char *want)
{
    const struct header fields[] = {{SLICE_LITERAL("kind"), SLICE_LITERAL("\"created\"")},
                                    {SLICE_LITERAL("no"), SLICE_NULL}};
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err;
    e->id = SLICE_LITERAL("i");
    e->payload = payload;
    e->payload_kind = kind;
    if (encode_add_envelope(&conf, e, fields, 2, &b->arena, &err) ||
        encode_message(&conf, e, &b->arena, &err)) {
        fail_msg("%s", err.text);
    }
    if (slice_is_null(e->value) != !want || !slice_equal_str(e->value, want ? want : "")) {
        fail_msg("%.*s: %.*s, want %s", SLICE_FMT(payload), SLICE_FMT(e->value), want);
    }
    batch_free(b);
}

#define BESIDE ",\"kind\":\"created\",\"no\":null}"

static void the_payload_is_a_string(void **state)
{
    (void)state;
    check_value(conf_of(false, false), PAYLOAD_JSON, SLICE_LITERAL("{\"a\": 1.50}"),
                "{\"payload\":\"{\\\"a\\\": 1.50}\"" BESIDE);
    check_value(conf_of(false, false), PAYLOAD_TEXT, SLICE_LITERAL(" "),
                "{\"payload\":\" \"" BESIDE);
    check_value(conf_of(false, false), PAYLOAD_BYTES, SLICE_LITERAL("abc"),
                "{\"payload\":\"YWJj\"" BESIDE);
    check_value(conf_of(false, false), PAYLOAD_JSON, SLICE_NULL, "{\"payload\":null" BESIDE);
}

static void expanded_it_is_json(void **state)
{
    (void)state;
    check_value(conf_of(true, false), PAYLOAD_JSON, SLICE_LITERAL("{\"a\": 1.50, \"n\": null}"),
                "{\"payload\":{\"a\":1.5}" BESIDE);
    check_value(conf_of(true, false), PAYLOAD_JSON, SLICE_NULL, "{\"payload\":null" BESIDE);
}

static void a_blank_payload_may_be_null(void **state)
{
    (void)state;
    check_value(conf_of(false, true), PAYLOAD_TEXT, SLICE_LITERAL(" \n"), NULL);
    check_value(conf_of(false, true), PAYLOAD_TEXT, SLICE_NULL, NULL);
    check_value(conf_of(true, true), PAYLOAD_TEXT, SLICE_LITERAL("x"), "{\"payload\":\"x\"" BESIDE);
}

/* What a dead letter holds is sent as it is. */
static void it_is_made_once(void **state)
{
    (void)state;
    const struct encode_conf conf = conf_of(true, true);
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err;
    e->id = SLICE_LITERAL("i");
    e->payload = SLICE_LITERAL("{\"payload\":{\"a\":1.0},\"no\":null}");
    e->payload_kind = PAYLOAD_JSON;
    assert_int_equal(encode_message(&conf, e, &b->arena, &err), RESULT_DONE);
    assert_true(slice_equal(e->value, e->payload));
    batch_free(b);
}

static void a_payload_that_is_no_text_is_poison(void **state)
{
    (void)state;
    const struct encode_conf conf = conf_of(false, false);
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err;
    e->payload = SLICE_LITERAL("\xFF");
    e->payload_kind = PAYLOAD_TEXT;
    assert_int_equal(encode_add_envelope(&conf, e, NULL, 0, &b->arena, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
    batch_free(b);
}

/* --- columns --- */

static void check_column(uint32_t oid, enum type_kind kind, const char *fallback, const char *value,
                         const char *want)
{
    const struct column_type type = {.oid = oid,
                                     .base_oid = oid,
                                     .base_typmod = -1,
                                     .kind = kind,
                                     .name = SLICE_LITERAL("t"),
                                     .base_name = SLICE_LITERAL("int4")}; /* read for a default */
    const struct change_column column = {.name = SLICE_LITERAL("c"),
                                         .typmod = -1,
                                         .type = &type,
                                         .default_text =
                                             fallback ? slice_from(fallback) : SLICE_NULL};
    const struct cell cell = {value ? CELL_TEXT : CELL_NULL,
                              value ? slice_from(value) : SLICE_NULL};
    const struct encode_conf conf = {.format = &format_payload};
    CLEANUP(buf_release) struct buf out = {0};
    struct error err;
    int rc = encode_column_value(&conf, &column, &cell, &out, &err);
    if (!want) {
        assert_int_equal(rc, RESULT_ERROR);
        assert_int_equal(err.class, ERROR_POISON);
        assert_int_equal(out.len, 0);
    } else if (rc || strcmp(buf_str(&out), want) != 0) {
        fail_msg("oid %u, %s: %s", oid, value, rc ? err.text : buf_str(&out));
    }
}

static void columns_are_written_as_in_a_row(void **state)
{
    (void)state;
    enum { BOOL = 16, INT8 = 20, INT4 = 23, TEXT = 25, TIMESTAMP = 1114, UUID = 2950, XID = 28 };
    check_column(BOOL, TYPE_BASE, NULL, "t", "true");
    check_column(INT8, TYPE_BASE, NULL, "-9", "-9");
    check_column(TEXT, TYPE_BASE, NULL, "a\"b", "\"a\\\"b\"");
    check_column(UUID, TYPE_BASE, NULL, "76019d1a-ad2e-4b22-96e9-1a6d6543c818",
                 "\"76019d1a-ad2e-4b22-96e9-1a6d6543c818\"");
    check_column(TIMESTAMP, TYPE_BASE, NULL, "2026-01-02 03:04:05.678901", "1767323045678901");
    check_column(20000, TYPE_ENUM, NULL, "ok", "\"ok\"");
    check_column(INT4, TYPE_BASE, NULL, NULL, "null");
    check_column(INT4, TYPE_BASE, "7", NULL, "7"); /* Kafka Connect sends the default */
    check_column(INT4, TYPE_BASE, NULL, "seven", NULL);
    check_column(XID, TYPE_BASE, NULL, "7", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_payload_is_a_string),
        cmocka_unit_test(expanded_it_is_json),
        cmocka_unit_test(a_blank_payload_may_be_null),
        cmocka_unit_test(it_is_made_once),
        cmocka_unit_test(a_payload_that_is_no_text_is_poison),
        cmocka_unit_test(columns_are_written_as_in_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
