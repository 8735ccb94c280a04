/* Debezium's values as texts that PostgreSQL reads. */
#include "unit.h"

#include "consume/apply/debezium.h"
#include "value/base64.h"

static const struct {
    const char *type;
    int32_t typmod;
    const char *value, *want; /* want: NULL: none that Debezium writes for the type */
} values[] = {
    {"int4", -1, "7", "7"},
    {"text", -1, "\"a\\\"b\"", "\"a\\\"b\""},
    {"date", -1, "0", "\"J2440588\""},
    {"date", -1, "-1", "\"J2440587\""},
    {"date", -1, "-2147472692", "\"infinity\""},
    {"date", -1, "\"2026-11-29Z\"", "\"2026-11-29Z\""},
    {"date", -1, "true", NULL},
    {"date", -1, "null", "null"},
    {"time", -1, "86400000000", "\"24:00:00.000000\""},
    {"time", 3, "1500", "\"00:00:01.500000\""},
    {"time", -1, "-1", NULL},
    {"timestamp", -1, "1500000", "\"J2440588 00:00:01.500000\""},
    {"timestamp", 3, "-1", "\"J2440587 23:59:59.999000\""},
    {"timestamp", -1, "9223372036825200000", "\"infinity\""},
    {"timestamp", 0, "-9223372036832400", "\"-infinity\""},
    {"interval", -1, "90000000", "\"90000000 microseconds\""},
    {"interval", -1, "\"P0Y0M1DT0H0M0S\"", "\"P0Y0M1DT0H0M0S\""},
    {"numeric", (12 << 16 | 2) + 4, "\"BOI=\"", "\"12.50\""},
    {"numeric", (12 << 16 | 2) + 4, "\"+x4=\"", "\"-12.50\""},
    {"numeric", (12 << 16 | 2) + 4, "\"AA==\"", "\"0.00\""},
    {"numeric", (12 << 16 | 2) + 4, "\"/w==\"", "\"-0.01\""},
    {"numeric", (5 << 16) + 4, "\"f////////////////////w==\"",
     "\"170141183460469231731687303715884105727\""},
    {"numeric", -1, "{\"scale\":3,\"value\":\"MDk=\"}", "\"12.345\""},
    {"numeric", -1, "{\"scale\":0,\"value\":\"gAA=\"}", "\"-32768\""},
    {"numeric", -1, "1.0E7", "\"1.0E7\""},
    {"numeric", (12 << 16 | 2) + 4, "\"12.5\"", NULL},
    {"money", -1, "\"BOI=\"", "\"12.50\""},
    {"bytea", -1, "\"AP8=\"", "\"\\\\x00ff\""},
    {"bytea", -1, "\"\"", "\"\\\\x\""},
    {"bytea", -1, "\"?\"", NULL},
    {"bit", 1, "true", "\"1\""},
    {"bit", 10, "\"AQI=\"", "\"1000000001\""},
    {"point", -1, "{\"x\":1.5,\"y\":-2.0,\"wkb\":\"AQ==\",\"srid\":null}", "\"(1.5,-2.0)\""},
    {"hstore", -1, "\"{\\\"a\\\":\\\"1\\\",\\\"b\\\":null}\"",
     "\"\\\"a\\\"=>\\\"1\\\", \\\"b\\\"=>NULL\""},
    {"hstore", -1, "{\"a\":\"x\\\"y\"}", "\"\\\"a\\\"=>\\\"x\\\\\\\"y\\\"\""},
    {"jsonb", -1, "\"{\\\"a\\\": 1}\"", "{\"a\": 1}"},
    {"json", -1, "\"no\"", NULL},
    {"_jsonb", -1, "[\"1\"]", NULL},
    {"_date", -1, "null", "null"},
    {"_int4", -1, "[1,2]", "[1,2]"},
    {"_numeric", (12 << 16 | 2) + 4, "[\"BOI=\",null]", "[\"12.50\",null]"},
    {"_timestamp", 3, "[1500000]", "[\"J2440588 00:00:01.500000\"]"},
    {"_date", -1, "[]", "[]"},
    {"_bytea", -1, "[\"AP8=\"]", "[\"\\\\x00ff\"]"},
    {"bytea", -1, "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"",
     "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\""},
};

static void each_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct target_column column = {.name = "c", .typmod = values[i].typmod};
        struct target table = {
            .shown = "t", .columns = &column, .count = 1, .placeholder = PLACEHOLDER_TYPED};
        CLEANUP(buf_release) struct buf row = {0}, out = {0}, want = {0};
        struct error err;
        column.kind = (int)debezium_kind(slice_from(values[i].type), &column.array);
        buf_printf(&row, "{\"x\":1,\"c\":%s}", values[i].value);
        int rc = debezium_row(&table, buf_slice(&row), false, &out, &err);
        if (!values[i].want) {
            assert_int_equal(rc, RESULT_ERROR);
            assert_int_equal(err.class, ERROR_POISON);
            continue;
        }
        assert_int_equal(rc, RESULT_DONE);
        buf_printf(&want, "{\"x\":1,\"c\":%s}", values[i].want);
        assert_string_equal(buf_str(&out), buf_str(&want));
    }
}

static void decimals_as_texts(void **state)
{
    (void)state;
    struct target_column column = {.name = "c", .typmod = -1, .kind = COLUMN_NUMERIC};
    struct target table = {.shown = "t", .columns = &column, .count = 1};
    CLEANUP(buf_release) struct buf out = {0};
    struct error err;
    assert_int_equal(debezium_row(&table, SLICE_LITERAL("{\"c\":\"1234\"}"), true, &out, &err), 0);
    assert_string_equal(buf_str(&out), "{\"c\":\"1234\"}");
}

static void base64_is_read_back(void **state)
{
    (void)state;
    char bytes[64];
    for (size_t n = 0; n < sizeof bytes; n++) {
        CLEANUP(buf_release) struct buf text = {0}, back = {0};
        for (size_t i = 0; i < n; i++) {
            bytes[i] = (char)(i * 151 + n);
        }
        base64_add(&text, (struct slice){bytes, n});
        assert_true(base64_parse(&back, buf_slice(&text)));
        assert_int_equal(back.len, n);
        assert_memory_equal(buf_slice(&back).ptr, bytes, n);
    }
    CLEANUP(buf_release) struct buf out = {0};
    assert_true(base64_parse(&out, SLICE_LITERAL("-_8")));
    assert_memory_equal(out.data, "\xfb\xff", 2);
    assert_false(base64_parse(&out, SLICE_LITERAL("A")));
    assert_false(base64_parse(&out, SLICE_LITERAL("AA=A")));
    assert_int_equal(out.len, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type),
        cmocka_unit_test(decimals_as_texts),
        cmocka_unit_test(base64_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
