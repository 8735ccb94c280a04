/* What is kept of an event that cannot be applied. */
#include "unit.h"

#include "consume/apply/letter.h"
#include "consume/decode/decode.h"

static void a_text_is_kept_as_it_is(void **state)
{
    (void)state;
    CLEANUP(letter_release) struct letter l = {0};
    const struct record r = {.id = SLICE_LITERAL("e"),
                             .line = SLICE_LITERAL("{\"a\":\"\xc3\xa9\"}")};
    letter_make(&l, &r, LETTER_UTF8);
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
    letter_make(&l, &r, LETTER_UTF8);
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
        {.id = SLICE_LITERAL("e"), .received = SLICE_LITERAL("{\"a\":1}")},
        {.id = SLICE_LITERAL("e"), .received = SLICE_LITERAL("{\"a\":2}")},
        {.id = SLICE_LITERAL("e"),
         .key = SLICE_LITERAL(""),
         .received = SLICE_LITERAL("{\"a\":1}")},
        {.id = SLICE_LITERAL("f"), .received = SLICE_LITERAL("{\"a\":1}")},
        {.id = SLICE_LITERAL("e"), .received = SLICE_LITERAL("")},
        {.id = SLICE_LITERAL("e")}, /* a tombstone */
        {.id = SLICE_LITERAL("\xfe"), .received = SLICE_LITERAL("{\"a\":1}")},
        {.id = SLICE_LITERAL("\xff"), .received = SLICE_LITERAL("{\"a\":1}")}};
    enum { N = sizeof records / sizeof *records };
    struct letter letters[N] = {0};
    for (size_t i = 0; i < N; i++) {
        CLEANUP(letter_release) struct letter again = {0};
        letter_make(&letters[i], &records[i], LETTER_UTF8);
        letter_make(&again, &records[i], LETTER_ASCII);
        assert_string_equal(again.digest, letters[i].digest);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(letters[i].digest, letters[k].digest);
        }
    }
    for (size_t i = 0; i < N; i++) {
        letter_release(&letters[i]);
    }
}

/* Of a database that is not UTF-8. */
static void in_ascii_only_ascii_is_text(void **state)
{
    (void)state;
    CLEANUP(letter_release) struct letter l = {0};
    const struct record r = {.id = SLICE_LITERAL("e"), .line = SLICE_LITERAL("a\xc3\xa9\xff~")};
    letter_make(&l, &r, LETTER_ASCII);
    assert_string_equal(buf_str(&l.event.text), "a???~");
    assert_true(l.id.exact && !l.event.exact);
}

/* The line of a message holds its offset. */
static void what_is_sent_again_is_the_same_letter(void **state)
{
    (void)state;
    const struct decode_conf conf = {.format = DECODE_PAYLOAD};
    struct letter letters[2] = {0};
    for (int i = 0; i < 2; i++) {
        const struct incoming in = {.stream = "t/0",
                                    .number = 7 + i,
                                    .topic = SLICE_LITERAL("t"),
                                    .key = SLICE_LITERAL("k"),
                                    .value = SLICE_LITERAL("1"),
                                    .id = SLICE_LITERAL("e"),
                                    .headers = i ? SLICE_LITERAL("{\"replayed\":\"r\"}")
                                                 : SLICE_LITERAL("{}")};
        struct record *r = decode(&conf, &in);
        letter_make(&letters[i], r, LETTER_UTF8);
        record_free(r);
    }
    assert_string_not_equal(buf_str(&letters[0].event.text), buf_str(&letters[1].event.text));
    assert_string_equal(letters[0].digest, letters[1].digest);
    letter_release(&letters[0]);
    letter_release(&letters[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_kept_as_it_is),
        cmocka_unit_test(bytes_that_are_no_text_are_told),
        cmocka_unit_test(other_events_of_one_id_are_other_letters),
        cmocka_unit_test(in_ascii_only_ascii_is_text),
        cmocka_unit_test(what_is_sent_again_is_the_same_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
