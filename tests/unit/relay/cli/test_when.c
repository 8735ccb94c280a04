/* Times and durations as people type them; a slip is named and never guessed at. */
#include "unit.h"

#include "base/clock.h"
#include "capture.h"
#include "cli/kit/when.h"

static const struct cli_command command = {.name = "test"};

static void a_time_is_taken_as_it_stands(void **state UNUSED)
{
    int64_t us = 0;
    assert_int_equal(cli_when(&command, "time", "2026-11-29T14:00:00.5Z", &us), 0);
    assert_true(us == INT64_C(1795960800500000));
    assert_int_equal(cli_when(&command, "time", "2026-11-29 15:00:00+01", &us), 0);
    assert_true(us == INT64_C(1795960800000000));
}

static void a_duration_is_that_long_ago(void **state UNUSED)
{
    int64_t before = clock_wall_us(), us = 0;
    assert_int_equal(cli_when(&command, "time", "2h", &us), 0);
    assert_in_range(us, before - 7200 * US_PER_SECOND, clock_wall_us() - 7200 * US_PER_SECOND);
    assert_int_equal(cli_duration(&command, "pause", "100ms", &us), 0);
    assert_int_equal(us, 100 * US_PER_MS);
}

static void what_is_neither_is_named(void **state UNUSED)
{
    static const char *const slips[] = {"2", "yesterday", "2 h", "2026-11-29", "", "-h"};
    for (size_t i = 0; i < sizeof slips / sizeof *slips; i++) {
        struct capture c;
        int64_t us = 42;
        capture_begin(&c);
        assert_int_equal(cli_when(&command, "time", slips[i], &us), 64);
        assert_int_equal(cli_duration(&command, "time", slips[i], &us), 64);
        assert_non_null(strstr(capture_end(&c), "--time needs"));
        assert_int_equal(us, 42);
    }
}

static void what_is_negative_is_refused(void **state UNUSED)
{
    static const char *const slips[] = {"-2h", "-100ms"};
    for (size_t i = 0; i < 2 * sizeof slips / sizeof *slips; i++) {
        struct capture c;
        int64_t us = 42;
        capture_begin(&c);
        assert_int_equal((i % 2 ? cli_when : cli_duration)(&command, "time", slips[i / 2], &us),
                         64);
        assert_non_null(strstr(capture_end(&c), "is negative; leave the sign out"));
        assert_int_equal(us, 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_taken_as_it_stands),
        cmocka_unit_test(a_duration_is_that_long_ago),
        cmocka_unit_test(what_is_neither_is_named),
        cmocka_unit_test(what_is_negative_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
