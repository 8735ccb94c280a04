/* Only the one text of a number is that number. */
#include "unit.h"

#include "base/digits.h"

static void reads_what_is_printed(void **state)
{
    (void)state;
    uint64_t v;
    assert_true(digits_parse(slice_from("0"), &v) && v == 0);
    assert_true(digits_parse(slice_from("10"), &v) && v == 10);
    assert_true(digits_parse(slice_from("18446744073709551615"), &v) && v == UINT64_MAX);
}

static void refuses_all_else(void **state)
{
    static const char *const texts[] = {"",
                                        "+1",
                                        "-1",
                                        " 1",
                                        "1 ",
                                        "01",
                                        "00",
                                        "1a",
                                        "x1",
                                        "18446744073709551616",
                                        "99999999999999999999999"};
    (void)state;
    uint64_t v = 42;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_false(digits_parse(slice_from(texts[i]), &v));
    }
    assert_false(digits_parse(SLICE_NULL, &v));
    assert_int_equal(v, 42);
}

static void takes_off_the_front(void **state)
{
    (void)state;
    uint64_t v;
    struct slice rest = slice_from("12:3");
    assert_true(digits_take(&rest, &v) && v == 12);
    assert_true(slice_equal_str(rest, ":3"));
    assert_false(digits_take(&rest, &v));
    assert_true(slice_equal_str(rest, ":3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_printed),
        cmocka_unit_test(refuses_all_else),
        cmocka_unit_test(takes_off_the_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
