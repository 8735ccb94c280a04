/* Whatever the format, a change becomes an event with a name, and with payload and key or a reason.
 */
#include "formats.h"
#include "unit.h"

#include "base/buf.h"
#include "message/encode.h"

static const struct column_type int4 = {.oid = 23, .base_oid = 23, .kind = TYPE_BASE};
static const struct column_type text = {.oid = 25, .base_oid = 25, .kind = TYPE_BASE};
static const struct change_column columns[] = {
    {.name = SLICE_LITERAL("id"), .type = &int4, .typmod = -1, .identity = true, .not_null = true},
    {.name = SLICE_LITERAL("t"), .type = &text, .typmod = -1},
};
static const uint16_t key[] = {0};
static const struct change_table orders = {.schema = SLICE_LITERAL("public"),
                                           .name = SLICE_LITERAL("orders"),
                                           .identity = IDENTITY_DEFAULT,
                                           .columns = columns,
                                           .columns_count = 2,
                                           .key = key,
                                           .key_count = 1};
static const struct cell row1[] = {{CELL_TEXT, SLICE_LITERAL("1")},
                                   {CELL_TEXT, SLICE_LITERAL("x")}};
static const struct cell row2[] = {{CELL_TEXT, SLICE_LITERAL("2")},
                                   {CELL_TEXT, SLICE_LITERAL("x")}};
static const struct cell key1[] = {{CELL_TEXT, SLICE_LITERAL("1")}, {.kind = CELL_ABSENT}};

static struct batch *batch;

static int setup(void **state)
{
    (void)state;
    batch = batch_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    batch_free(batch);
    return 0;
}

static struct encode_conf conf_of(const struct format_ops *format)
{
    return (struct encode_conf){.format = format,
                                .name = "shop",
                                .unavailable_placeholder = "?",
                                .flat_prefix = "__",
                                .tombstones = true};
}

static struct event *encode(const struct format_ops *format, struct change c)
{
    static struct change change; /* as long as the event */
    struct encode_conf conf = conf_of(format);
    struct error err;
    struct event *e = batch_add(batch);
    change = c;
    change.table = &orders;
    change.commit_us = INT64_C(1795255200123456);
    e->change = &change;
    if (encode_change(&conf, e, &batch->arena, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return e;
}

static void expect(struct slice got, const char *want)
{
    if (!slice_equal_str(got, want) || slice_is_null(got) != !want) {
        fail_msg("\"%.*s\" instead of \"%s\"", SLICE_FMT(got), want ? want : "(null)");
    }
}

static void a_change_is_an_event_in_every_format(void **state)
{
    (void)state;
    static const struct format_ops *const formats[] = {&format_json, &format_flat, &format_debezium,
                                                       &format_cloudevents,
                                                       &format_cloudevents_json};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct event *e = encode(formats[i], (struct change){.op = CHANGE_CREATE, .after = row1});
        expect(e->type, "c");
        expect(e->aggregatetype, "public.orders");
        expect(e->aggregateid, "{\"id\":1}");
        expect(e->key, "{\"id\":1}");
        assert_int_equal(e->payload_kind, PAYLOAD_JSON);
        bool debezium = formats[i] == &format_debezium;
        assert_true(slice_is_null(e->headers));
        assert_int_equal(memcmp(e->payload.ptr, debezium ? "{\"before\":" : "{\"id\":1,", 8), 0);
    }
}

static void a_tombstone_is_a_delete_s_key_and_nothing(void **state)
{
    (void)state;
    struct event *e =
        encode(&format_debezium, (struct change){.op = CHANGE_TOMBSTONE, .before = key1});
    expect(e->type, "d");
    expect(e->key, "{\"id\":1}");
    assert_true(slice_is_null(e->payload));
}

static void the_halves_of_a_key_change_name_each_other(void **state)
{
    (void)state;
    struct change gone = {.op = CHANGE_DELETE, .before = key1, .other_key = row2};
    struct change come = {.op = CHANGE_CREATE, .after = row2, .other_key = key1};
    expect(encode(&format_debezium, gone)->headers, "{\"__debezium.newkey\":{\"id\":2}}");
    expect(encode(&format_debezium, come)->headers, "{\"__debezium.oldkey\":{\"id\":1}}");
    assert_true(slice_is_null(encode(&format_flat, come)->headers));
}

static void a_truncate_is_of_no_row(void **state)
{
    (void)state;
    struct event *e = encode(&format_flat, (struct change){.op = CHANGE_TRUNCATE});
    expect(e->type, "t");
    assert_true(slice_is_null(e->key));
    assert_false(slice_is_null(e->payload));
}

static void what_cannot_be_said_still_has_a_name(void **state)
{
    (void)state;
    static const struct cell bad[] = {{CELL_TEXT, SLICE_LITERAL("1")},
                                      {CELL_TEXT, SLICE_LITERAL("\xff")}};
    struct change c = {.op = CHANGE_UPDATE, .after = bad, .table = &orders};
    struct encode_conf conf = conf_of(&format_flat);
    struct error err = {0};
    struct event *e = batch_add(batch);
    e->change = &c;
    assert_int_equal(encode_change(&conf, e, &batch->arena, &err), -1);
    assert_int_equal(err.class, ERROR_POISON);
    assert_non_null(strstr(err.text, "column t of public.orders"));
    expect(e->type, "u");
    expect(e->aggregatetype, "public.orders");
    expect(e->key, "{\"id\":1}");
}

static void shapes_are_what_formats_can_say(void **state)
{
    (void)state;
    static const char *const skipped[] = {"t", "r"};
    struct change_shape shape;
    struct encode_conf conf = conf_of(&format_debezium);
    conf.skipped_operations = skipped;
    conf.skipped_operations_count = 2;
    encode_shape(&conf, &shape);
    assert_true(shape.tombstones && shape.split_key_change && shape.placeholder);
    assert_true(shape.skip['t'] && shape.skip['r'] && !shape.skip['c']);
    conf.format = &format_flat;
    encode_shape(&conf, &shape);
    assert_false(shape.tombstones || shape.split_key_change || shape.placeholder);
    assert_true(shape.skip['t'] && shape.skip['r'] && !shape.skip['c']);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_change_is_an_event_in_every_format, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tombstone_is_a_delete_s_key_and_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_halves_of_a_key_change_name_each_other, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_truncate_is_of_no_row, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_said_still_has_a_name, setup, teardown),
        cmocka_unit_test(shapes_are_what_formats_can_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
