/* A rate lets through what time has made room for, and no burst after a pause. */
#include "unit.h"

#include "base/clock.h"
#include "pipeline/rate.h"

static void without_a_limit_there_is_always_room(void **state)
{
    (void)state;
    struct rate r;
    rate_init(&r, 0);
    rate_take(&r, 1000000);
    assert_true(rate_left(&r, clock_mono_us()) == SIZE_MAX);
}

static void a_second_brings_as_many_as_it_says(void **state)
{
    (void)state;
    struct rate r;
    rate_init(&r, 1000);
    size_t taken = 0;
    for (int64_t ms = 0; ms <= 1000; ms++) {
        size_t left = rate_left(&r, r.at_us + US_PER_MS);
        rate_take(&r, left);
        taken += left;
    }
    assert_in_range(taken, 999, 1003);
}

static void a_pause_is_not_made_up_for(void **state)
{
    (void)state;
    struct rate r;
    rate_init(&r, 1000);
    assert_in_range(rate_left(&r, r.at_us + 60 * US_PER_SECOND), 99, 101);
}

static void slow_rates_say_when_the_next_is_due(void **state)
{
    (void)state;
    struct rate r;
    rate_init(&r, 2);
    int64_t begin = r.at_us;
    assert_int_equal(rate_left(&r, begin), 1);
    rate_take(&r, 1);
    assert_int_equal(rate_left(&r, begin + 400 * US_PER_MS), 0);
    int64_t due = rate_due(&r);
    assert_in_range(due, begin + 499 * US_PER_MS, begin + 501 * US_PER_MS);
    assert_int_equal(rate_left(&r, due), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_limit_there_is_always_room),
        cmocka_unit_test(a_second_brings_as_many_as_it_says),
        cmocka_unit_test(a_pause_is_not_made_up_for),
        cmocka_unit_test(slow_rates_say_when_the_next_is_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
