/* cursor: what is written is read back, and nothing else is taken for a cursor or a position. */
#include "unit.h"

#include "cdc/cursor.h"

static const struct cdc_cursor full = {.system_id = UINT64_C(7584392012345678901),
                                       .timeline = 3,
                                       .start = UINT64_C(0x16B374D848),
                                       .commit = UINT64_C(0x16B374D900),
                                       .ordinal = 12,
                                       .part = 2,
                                       .options = UINT64_MAX,
                                       .last = UINT64_C(0x16B374D800),
                                       .snapshot = {NULL, 0}};

static void there_and_back(const struct cdc_cursor *c, const char *text)
{
    CLEANUP(buf_release) struct buf out = {0};
    struct cdc_cursor read;
    struct error err;
    cdc_cursor_format(c, &out);
    assert_string_equal(buf_str(&out), text);
    assert_int_equal(cdc_cursor_parse(buf_slice(&out), &read, &err), RESULT_DONE);
    assert_int_equal(read.system_id, c->system_id);
    assert_int_equal(read.timeline, c->timeline);
    assert_int_equal(read.start, c->start);
    assert_int_equal(read.commit, c->commit);
    assert_int_equal(read.ordinal, c->ordinal);
    assert_int_equal(read.part, c->part);
    assert_int_equal(read.options, c->options);
    assert_int_equal(read.last, c->last);
    assert_int_equal(slice_is_null(read.snapshot), slice_is_null(c->snapshot));
    assert_true(slice_equal(read.snapshot, c->snapshot));
}

static void cursors_are_read_back(void **state)
{
    (void)state;
    struct cdc_cursor c = full;
    there_and_back(&c, "c1 7584392012345678901 3 16/B374D848 16/B374D900 12 2 "
                       "18446744073709551615 16/B374D800");
    c.snapshot = SLICE_LITERAL("public.orders (1, 'a b')");
    there_and_back(&c, "c1 7584392012345678901 3 16/B374D848 16/B374D900 12 2 "
                       "18446744073709551615 16/B374D800 public.orders (1, 'a b')");
    c.snapshot = SLICE_LITERAL("");
    there_and_back(&c, "c1 7584392012345678901 3 16/B374D848 16/B374D900 12 2 "
                       "18446744073709551615 16/B374D800 ");
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "c1",
        "p1 0:0: 12",
        "c2 1 1 0/1 0/1 1 0 5 0/0",
        "c1 1 1 0/1 0/1 1 0",
        "c1 1 1 0/1 0/1 1 0 5",
        "c1 1 1 0/1 0/1 1 0 5 1",
        "c1 1 1 0/1 0/1 1 0 x 0/0",
        "c1 1 4294967296 0/1 0/1 1 0 5 0/0",
        "c1 1 1 0/1 0/1 -1 0 5 0/0",
        "c1 1 1 0/1 0/1 01 0 5 0/0",
        "c1 1 1 0-1 0/1 1 0 5 0/0",
        "c1 18446744073709551616 1 0/1 0/1 1 0 5 0/0",
        "c1  1 1 0/1 0/1 1 0 5 0/0",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct cdc_cursor c;
        struct error err;
        assert_int_equal(cdc_cursor_parse(slice_from(texts[i]), &c, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_FATAL);
        assert_int_equal(err.exit_code, EXIT_CODE_UNAVAILABLE);
    }
}

static void positions_are_read_back(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf out = {0};
    uint64_t commit, ordinal;
    uint32_t part;
    cdc_position_format(UINT64_C(0x16B374D848), 7, 0, &out);
    assert_string_equal(buf_str(&out), "16/B374D848:7");
    assert_true(cdc_position_parse(buf_str(&out), &commit, &ordinal, &part));
    assert_int_equal(commit, UINT64_C(0x16B374D848));
    assert_int_equal(ordinal, 7);
    assert_int_equal(part, 0);
    buf_clear(&out);
    cdc_position_format(1, UINT64_MAX, 3, &out);
    assert_string_equal(buf_str(&out), "0/1:18446744073709551615.3");
    assert_true(cdc_position_parse(buf_str(&out), &commit, &ordinal, &part));
    assert_int_equal(ordinal, UINT64_MAX);
    assert_int_equal(part, 3);
}

static void other_positions_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",        "now",     "0/1",   "0/1:",    "0/1:1.",
                                        "0/1:1.0", "0/1:1.x", "0/1:x", "0/1:1 ",  ":1",
                                        "12",      "0/1:1:2", "/:1",   "0/1:+1.1"};
    uint64_t commit, ordinal;
    uint32_t part;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_false(cdc_position_parse(texts[i], &commit, &ordinal, &part));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cursors_are_read_back),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(positions_are_read_back),
        cmocka_unit_test(other_positions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
