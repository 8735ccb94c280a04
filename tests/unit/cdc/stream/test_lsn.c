/* Log sequence numbers as text. */
#include "unit.h"

#include "base/result.h"
#include "cdc/stream/lsn.h"

static void lsns_are_printed_as_postgresql_does(void **state UNUSED)
{
    static const struct {
        uint64_t lsn;
        const char *text;
    } cases[] = {
        {0, "0/0"},
        {0x1540578, "0/1540578"},
        {UINT64_C(0x16B374D848), "16/B374D848"},
        {UINT64_C(0x100000001), "1/1"},
        {UINT64_MAX, "FFFFFFFF/FFFFFFFF"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[LSN_TEXT_SIZE];
        uint64_t back = 1;
        assert_int_equal(lsn_format(cases[i].lsn, text), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
        assert_true(lsn_parse(slice_from(text), &back));
        assert_true(back == cases[i].lsn);
    }
}

static void what_is_no_lsn_is_refused(void **state UNUSED)
{
    static const char *const texts[] = {
        "",      "/",   "1/",          "/1",          "1",    "1/2/3", "1/2 ",  " 1/2",
        "0x1/2", "g/1", "123456789/1", "1/123456789", "-1/2", "1/-2",  "1/2:3", "1//2"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        uint64_t lsn = 7;
        assert_false(lsn_parse(slice_from(texts[i]), &lsn));
        assert_int_equal(lsn, 7);
    }
    uint64_t lsn = 7;
    assert_false(lsn_parse(SLICE_NULL, &lsn));
    assert_false(lsn_parse((struct slice){"1/2\0", 4}, &lsn));
    assert_true(lsn_parse(SLICE_LITERAL("1a/2B"), &lsn));
    assert_true(lsn == UINT64_C(0x1A0000002B));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lsns_are_printed_as_postgresql_does),
        cmocka_unit_test(what_is_no_lsn_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
