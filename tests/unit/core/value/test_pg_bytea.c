/* Bytes from a bytea's text, and nothing from anything else. */
#include "unit.h"

#include "value/pg_bytea.h"

static void the_bytes_are_raw(void **state)
{
    (void)state;
    char out[8] = {0};
    assert_true(pg_bytea_parse(slice_from("\\x00ff6a"), out));
    assert_memory_equal(out, "\x00\xff\x6a", 3);
    assert_true(pg_bytea_parse(slice_from("\\x"), out));
}

static void all_else_is_refused(void **state)
{
    static const char *const texts[] = {"\\x0", "\\x0g", "\\x0F", "\\X00", "6869", "\\", ""};
    (void)state;
    char out[8];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_false(pg_bytea_parse(slice_from(texts[i]), out));
    }
    assert_false(pg_bytea_parse(SLICE_NULL, out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_are_raw),
        cmocka_unit_test(all_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
