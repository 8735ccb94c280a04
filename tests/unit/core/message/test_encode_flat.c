/* A flat row holds every value exactly, in JSON's own kinds where it has them. */
#include "formats.h"
#include "unit.h"

#include "message/encode.h"

#define N(array) (sizeof(array) / sizeof *(array))

static const struct column_type boolean = {.base_oid = 16, .kind = TYPE_BASE};
static const struct column_type int4 = {.base_oid = 23, .kind = TYPE_BASE};
static const struct column_type int8 = {.base_oid = 20, .kind = TYPE_BASE};
static const struct column_type numeric = {.base_oid = 1700, .kind = TYPE_BASE};
static const struct column_type float8 = {.base_oid = 701, .kind = TYPE_BASE};
static const struct column_type text = {.base_oid = 25, .kind = TYPE_BASE};
static const struct column_type jsonb = {.base_oid = 3802, .kind = TYPE_BASE};
static const struct column_type int_array = {
    .base_oid = 1007, .kind = TYPE_ARRAY, .element = &int4, .delimiter = ','};
static const struct column_type json_array = {
    .base_oid = 3807, .kind = TYPE_ARRAY, .element = &jsonb, .delimiter = ','};
static const struct column_type vector = {
    .base_oid = 22, .kind = TYPE_ARRAY, .element = &int4, .delimiter = ','};

static const struct encode_conf conf = {.format = &format_flat,
                                        .unavailable_placeholder = "__debezium_unavailable_value",
                                        .flat_prefix = "__"};

static struct cell cell(const char *value)
{
    return value ? (struct cell){CELL_TEXT, slice_from(value)} : (struct cell){.kind = CELL_NULL};
}

/* One value of a type as it stands in a row; NULL: it is poison. */
static void expect(const struct column_type *type, const char *value, const char *want)
{
    CLEANUP(buf_release) struct buf out = {0};
    struct error err = {0};
    const struct change_column column = {.name = SLICE_LITERAL("v"), .type = type};
    static const uint16_t key[] = {0};
    const struct change_table table = {.schema = SLICE_LITERAL("public"),
                                       .name = SLICE_LITERAL("t"),
                                       .columns = &column,
                                       .columns_count = 1,
                                       .key = key,
                                       .key_count = 1};
    const struct change change = {.table = &table};
    struct cell v = cell(value);
    int rc = format_flat.change_key(&conf, &change, &v, &out, &err);
    if (!want) {
        assert_int_equal(rc, -1);
        assert_int_equal(err.class, ERROR_POISON);
        assert_non_null(strstr(err.text, "column v of public.t"));
        return;
    }
    assert_int_equal(rc, 0);
    CLEANUP(buf_release) struct buf whole = {0};
    buf_printf(&whole, "{\"v\":%s}", want);
    assert_string_equal(buf_str(&out), buf_str(&whole));
}

static void values_are_of_json_s_own_kinds(void **state)
{
    (void)state;
    expect(&boolean, "t", "true");
    expect(&boolean, "f", "false");
    expect(&int8, "9223372036854775807", "9223372036854775807");
    expect(&numeric, "-0.10000000000000000000000000001", "-0.10000000000000000000000000001");
    expect(&numeric, "NaN", "\"NaN\"");
    expect(&numeric, "-Infinity", "\"-Infinity\"");
    expect(&float8, "1e+20", "1e+20");
    expect(&float8, "Infinity", "\"Infinity\"");
    expect(&text, "a\"\n", "\"a\\\"\\n\"");
    expect(&text, "", "\"\"");
    expect(&text, NULL, "null");
    expect(&text, "\xff", NULL);
    expect(&jsonb, "{\"a\":\n[1]}", "{\"a\": [1]}");
    expect(&jsonb, "{", NULL);
}

static void arrays_are_arrays(void **state)
{
    (void)state;
    expect(&int_array, "{}", "[]");
    expect(&int_array, "{1,NULL,3}", "[1,null,3]");
    expect(&int_array, "[0:1][1:2]={{1,2},{3,4}}", "[[1,2],[3,4]]");
    expect(&int_array, "{1", NULL);
    expect(&json_array, "{\"{\\\"a\\\": \\\"b\\\\\\\\\\\"}\",NULL}", "[{\"a\": \"b\\\\\"},null]");
    expect(&vector, "1 2 3", "\"1 2 3\"");
}

static const struct change_column columns[] = {
    {.name = SLICE_LITERAL("a"), .type = &int4},
    {.name = SLICE_LITERAL("big"), .type = &text},
    {.name = SLICE_LITERAL("b"), .type = &text},
};
static const uint16_t key[] = {2, 0}; /* in the key's own order */
static const struct change_table orders = {.schema = SLICE_LITERAL("public"),
                                           .name = SLICE_LITERAL("orders"),
                                           .columns = columns,
                                           .columns_count = N(columns),
                                           .key = key,
                                           .key_count = N(key)};

#define META(op, deleted)                                                                   \
    "\"__op\":\"" op "\",\"__table\":\"public.orders\",\"__lsn\":\"16/B374D848\",\"__ts\":" \
    "\"2026-11-21T10:00:00.123456Z\",\"__deleted\":" deleted

static void expect_row(struct change *c, const char *want)
{
    CLEANUP(buf_release) struct buf out = {0};
    struct error err;
    c->table = &orders;
    c->lsn = UINT64_C(0x16B374D848);
    c->commit_us = INT64_C(1795255200123456);
    assert_int_equal(format_flat.change_value(&conf, c, &out, &err), 0);
    assert_string_equal(buf_str(&out), want);
}

static void rows_carry_what_happened(void **state)
{
    (void)state;
    struct cell row[] = {cell("1"), cell("x"), cell(NULL)};
    expect_row(&(struct change){.op = CHANGE_CREATE, .after = row},
               "{\"a\":1,\"big\":\"x\",\"b\":null," META("c", "false") "}");
    expect_row(&(struct change){.op = CHANGE_TRUNCATE}, "{" META("t", "true") "}");
    struct cell old[] = {cell("1"), {.kind = CELL_ABSENT}, cell("k")};
    expect_row(&(struct change){.op = CHANGE_DELETE, .before = old},
               "{\"a\":1,\"b\":\"k\"," META("d", "true") "}");
}

static void unknown_values_are_named(void **state)
{
    (void)state;
    struct cell row[] = {cell("1"), {.kind = CELL_UNCHANGED}, cell("k")};
    struct change c = {.op = CHANGE_UPDATE, .after = row, .omit_unchanged = true};
    expect_row(&c, "{\"a\":1,\"b\":\"k\"," META("u", "false") ",\"__unchanged\":[\"big\"]}");
    c.omit_unchanged = false;
    expect_row(&c, "{\"a\":1,\"big\":\"__debezium_unavailable_value\",\"b\":\"k\"," META(
                       "u", "false") "}");
}

static void a_key_change_names_the_old_key(void **state)
{
    (void)state;
    struct cell old[] = {cell("1"), cell("y"), cell("k")};
    struct cell row[] = {cell("1"), cell("x"), cell("l")};
    struct change c = {.op = CHANGE_UPDATE, .before = old, .after = row};
    expect_row(&c, "{\"a\":1,\"big\":\"x\",\"b\":\"l\"," META(
                       "u", "false") ",\"__old_key\":{\"b\":\"k\",\"a\":1}}");
    row[2] = cell("k"); /* a whole old row (REPLICA IDENTITY FULL), the same key */
    expect_row(&c, "{\"a\":1,\"big\":\"x\",\"b\":\"k\"," META("u", "false") "}");
}

static void a_key_is_whole_or_poison(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf out = {0};
    struct error err = {0};
    struct cell row[] = {cell("1"), cell("x"), {.kind = CELL_UNCHANGED}};
    struct change c = {.op = CHANGE_UPDATE, .after = row, .table = &orders};
    assert_int_equal(format_flat.change_key(&conf, &c, row, &out, &err), -1);
    assert_non_null(strstr(err.text, "column b of public.orders"));
    struct change_table keyless = orders;
    keyless.key_count = 0;
    c.table = &keyless;
    buf_clear(&out);
    assert_int_equal(format_flat.change_key(&conf, &c, row, &out, &err), 0);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_of_json_s_own_kinds),
        cmocka_unit_test(arrays_are_arrays),
        cmocka_unit_test(rows_carry_what_happened),
        cmocka_unit_test(unknown_values_are_named),
        cmocka_unit_test(a_key_change_names_the_old_key),
        cmocka_unit_test(a_key_is_whole_or_poison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
