/* PostgreSQL's texts of arrays, hstores, numbers and times are read whole or refused. */
#include "unit.h"

#include "base/civil.h"
#include "value/pg_array.h"
#include "value/pg_hstore.h"
#include "value/pg_numeric.h"
#include "value/pg_time.h"
#include <stdio.h>

/* Each step as a word: values with their text, braces as they are. The text is copied to memory of
 * its exact size, so that a read behind it is seen. */
static const char *steps(const char *array, char delimiter, struct buf *out)
{
    struct buf scratch = {0};
    size_t len = strlen(array);
    char *exact = len ? memcpy(test_malloc(len), array, len) : test_malloc(1);
    struct pg_array walk = pg_array_walk((struct slice){exact, len}, delimiter, &scratch);
    struct slice value;
    enum pg_array_step step;
    buf_clear(out);
    do {
        step = pg_array_next(&walk, &value);
        if (step == PG_ARRAY_VALUE) {
            buf_printf(out, value.ptr ? "<%.*s>" : "N", SLICE_FMT(value));
        } else {
            buf_add_char(out, "v[].!"[step]);
        }
    } while (step != PG_ARRAY_END && step != PG_ARRAY_FAULT);
    test_free(exact);
    buf_release(&scratch);
    return buf_str(out);
}

static void arrays(void **state UNUSED)
{
    static const char *const cases[][2] = {
        {"{}", "."},
        {"{a,NULL,\"NULL\",\"\"}", "<a>N<NULL><>."},
        {"{\"q\\\"\\\\\",\"x,{}\"}", "<q\"\\><x,{}>."},
        {"{{1,2},{3,4}}", "[<1><2>][<3><4>]."},
        {"[0:1]={a,b}", "<a><b>."},
        {"[1:1][-2:-1]={{a,b}}", "[<a><b>]."},
        {"", "!"},
        {"{", "!"},
        {"a", "!"},
        {"{a", "<a>!"},
        {"{a,", "<a>!"},
        {"{a,}", "<a>!"},
        {"{,a}", "!"},
        {"{a}b", "<a>!"},
        {"{\"a", "!"},
        {"{\"a\\", "!"},
        {"{\"a\"b}", "<a>!"},
        {"{{a}", "[<a>]!"},
        {"{a}}", "<a>!"},
        {"[0:1", "!"},
    };
    struct buf out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(steps(cases[i][0], ',', &out), cases[i][1]);
    }
    assert_string_equal(steps("{(1,1),(0,0);(2,2),(0,0)}", ';', &out),
                        "<(1,1),(0,0)><(2,2),(0,0)>.");
    buf_release(&out);
}

static const char *pairs(const char *text, struct buf *out)
{
    struct buf texts = {0};
    struct pg_hstore walk = pg_hstore_walk(slice_from(text));
    enum pg_hstore_step step;
    size_t key, value;
    bool null;
    buf_clear(out);
    for (;;) {
        size_t at = texts.len;
        step = pg_hstore_next(&walk, &texts, &key, &value, &null);
        if (step != PG_HSTORE_PAIR) {
            break;
        }
        buf_printf(out, "%.*s=%.*s%s;", (int)key, buf_str(&texts) + at, (int)value,
                   buf_str(&texts) + at + key, null ? "N" : "");
    }
    buf_add_char(out, step == PG_HSTORE_END ? '.' : '!');
    buf_release(&texts);
    return buf_str(out);
}

static void hstores(void **state UNUSED)
{
    static const char *const cases[][2] = {
        {"", "."},
        {"\"a\"=>\"1\", \"b\"=>NULL", "a=1;b=N;."},
        {"\"a\\\"\\\\\"=>\"\"", "a\"\\=;."},
        {"\"a\"", "!"},
        {"\"a\"=>", "!"},
        {"\"a\"=>1", "!"},
        {"\"a\"=>\"1\",", "a=1;!"},
        {"\"a\"=>\"1\", ", "a=1;!"},
        {"\"a\"=>\"1", "!"},
        {"\"a\\", "!"},
    };
    struct buf out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(pairs(cases[i][0], &out), cases[i][1]);
    }
    buf_release(&out);
}

/* As hexadecimal digits. */
static const char *unscaled(const char *text, size_t scale, struct buf *out)
{
    struct pg_numeric n;
    struct buf bytes = {0};
    buf_clear(out);
    if (pg_numeric_parse(slice_from(text), &n) && pg_numeric_unscaled(&n, scale, &bytes)) {
        for (size_t i = 0; i < bytes.len; i++) {
            buf_printf(out, "%02x", (unsigned char)bytes.data[i]);
        }
    } else {
        buf_add_char(out, '!');
    }
    buf_release(&bytes);
    return buf_str(out);
}

static void numbers(void **state UNUSED)
{
    static const struct {
        const char *text;
        size_t scale;
        const char *hex;
    } cases[] = {
        {"0", 0, "00"},
        {"0.00", 2, "00"},
        {"1", 2, "64"},
        {"127", 0, "7f"},
        {"128", 0, "0080"},
        {"-128", 0, "80"},
        {"-129", 0, "ff7f"},
        {"255", 0, "00ff"},
        {"-256", 0, "ff00"},
        {"-1", 0, "ff"},
        {"4294967296", 0, "0100000000"},
        {"-4294967296", 0, "ff00000000"},
        {"2147483648", 0, "0080000000"},
        {"-2147483648", 0, "80000000"},
        {"18446744073709551616", 0, "010000000000000000"},
        {"-9223372036854775808", 0, "8000000000000000"},
        {"1.25", 1, "!"},
        {"NaN", 0, "!"},
        {"", 0, "!"},
        {"-", 0, "!"},
        {"1e5", 0, "!"},
        {".5", 1, "!"},
        {"1 ", 0, "!"},
    };
    struct buf out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(unscaled(cases[i].text, cases[i].scale, &out), cases[i].hex);
    }
    buf_release(&out);
}

static void every_day_there_and_back(void **state UNUSED)
{
    int64_t year;
    unsigned month, day;
    struct pg_moment m;
    for (int64_t d = -2500000; d < 3000000; d += 97) {
        char text[64];
        civil_date(d, &year, &month, &day);
        snprintf(text, sizeof text, "%04lld-%02u-%02u%s", (long long)(year > 0 ? year : 1 - year),
                 month, day, year > 0 ? "" : " BC");
        assert_true(pg_date_parse(slice_from(text), &m));
        assert_int_equal(m.days, d);
    }
}

static void moments(void **state UNUSED)
{
    static const char *const refused[] = {"",
                                          "2026",
                                          "2026-11",
                                          "2026-13-01 00:00:00",
                                          "2026-11-21",
                                          "2026-11-21T10:00:00",
                                          "2026-11-21 10:00",
                                          "2026-11-21 10:00:00.",
                                          "2026-11-21 10:00:00x",
                                          "2026-11-21 10:00:00+",
                                          "2026-11-21 10:00:00+0",
                                          "2026-11-21 10:00:00+00:",
                                          "10:00:00",
                                          "Infinity",
                                          " BC"};
    struct pg_moment m;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_false(pg_timestamp_parse(slice_from(refused[i]), &m));
    }
    assert_true(pg_timestamp_parse(slice_from("1970-01-01 00:30:00.5+01:30:30"), &m));
    pg_moment_to_utc(&m);
    assert_int_equal(m.days, -1);
    assert_int_equal(m.seconds, 82770);
    assert_int_equal(m.micros, 500000);
    assert_true(pg_time_parse(slice_from("24:00:00-15:59"), &m));
    pg_moment_to_utc(&m);
    assert_int_equal(m.seconds, 57540);
}

static void intervals(void **state UNUSED)
{
    static const char *const refused[] = {"",  "1",     "1 week", "1 day ",         "x",
                                          "-", "1:2:3", "01:02",  "01:02:03 1 day", "01:60:00"};
    struct pg_interval i;
    for (size_t n = 1; n < sizeof refused / sizeof *refused; n++) {
        assert_false(pg_interval_parse(slice_from(refused[n]), &i));
    }
    assert_true(pg_interval_parse(slice_from("-1 years -2 mons +3 days -04:05:06.789"), &i));
    assert_int_equal(i.years, -1);
    assert_int_equal(i.months, -2);
    assert_int_equal(i.days, 3);
    assert_int_equal(i.hours, -4);
    assert_int_equal(i.minutes, -5);
    assert_int_equal(i.micros, -6789000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays),  cmocka_unit_test(hstores),
        cmocka_unit_test(numbers), cmocka_unit_test(every_day_there_and_back),
        cmocka_unit_test(moments), cmocka_unit_test(intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
