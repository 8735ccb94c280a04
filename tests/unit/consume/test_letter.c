/* What is kept of an event that cannot be applied. */
#include "unit.h"

#include "consume/apply/letter.h"

static void a_text_is_kept_as_it_is(void **state)
{
    (void)state;
    CLEANUP(letter_release) struct letter l = {0};
    const struct record r = {.id = SLICE_LITERAL("e"),
                             .line = SLICE_LITERAL("{\"a\":\"\xc3\xa9\"}")};
    letter_make(&l, &r);
    assert_string_equal(buf_str(&l.event.text), "{\"a\":\"\xc3\xa9\"}");
    assert_true(l.id.exact && l.event.exact && l.key.exact);
    assert_true(l.id.given && l.event.given);
    assert_false(l.key.given);
    assert_int_equal(strlen(l.digest), 64);
}

static void bytes_that_are_no_text_are_told(void **state)
{
    (void)state;
    CLEANUP(letter_release) struct letter l = {0};
    const struct record r = {.id = {"\xff", 1}, .key = {"a\0b", 3}, .line = SLICE_LITERAL("x\xc3")};
    letter_make(&l, &r);
    assert_string_equal(buf_str(&l.id.text), "\xef\xbf\xbd");
    assert_string_equal(buf_str(&l.key.text), "a\xef\xbf\xbd"
                                              "b");
    assert_string_equal(buf_str(&l.event.text), "x\xef\xbf\xbd");
    assert_false(l.id.exact || l.key.exact || l.event.exact);
}

static void other_events_of_one_id_are_other_letters(void **state)
{
    (void)state;
    const struct record records[] = {
        {.id = SLICE_LITERAL("e"), .line = SLICE_LITERAL("{\"a\":1}")},
        {.id = SLICE_LITERAL("e"), .line = SLICE_LITERAL("{\"a\":2}")},
        {.id = SLICE_LITERAL("e"), .key = SLICE_LITERAL(""), .line = SLICE_LITERAL("{\"a\":1}")},
        {.id = SLICE_LITERAL("f"), .line = SLICE_LITERAL("{\"a\":1}")},
        {.id = SLICE_LITERAL("\xfe"), .line = SLICE_LITERAL("{\"a\":1}")},
        {.id = SLICE_LITERAL("\xff"), .line = SLICE_LITERAL("{\"a\":1}")}};
    enum { N = sizeof records / sizeof *records };
    struct letter letters[N] = {0};
    for (size_t i = 0; i < N; i++) {
        CLEANUP(letter_release) struct letter again = {0};
        letter_make(&letters[i], &records[i]);
        letter_make(&again, &records[i]);
        assert_string_equal(again.digest, letters[i].digest);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(letters[i].digest, letters[k].digest);
        }
    }
    for (size_t i = 0; i < N; i++) {
        letter_release(&letters[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_kept_as_it_is),
        cmocka_unit_test(bytes_that_are_no_text_are_told),
        cmocka_unit_test(other_events_of_one_id_are_other_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
