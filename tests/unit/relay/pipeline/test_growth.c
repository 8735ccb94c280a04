/* The time to a limit follows what really happened, drops included. */
#include "unit.h"

#include "base/clock.h"
#include "pipeline/growth.h"

#define S US_PER_SECOND

static void steady_growth_has_an_end(void **state)
{
    (void)state;
    struct growth g = {0};
    assert_int_equal(growth_until(&g, 1000), -1);
    for (int64_t t = 0; t <= 100; t++) {
        growth_note(&g, t * S, t * 10);
        if (t == 4) {
            assert_int_equal(growth_until(&g, 2000), -1); /* too early to say */
        }
    }
    assert_in_range(growth_until(&g, 2000), 99, 101);
    assert_int_equal(growth_until(&g, 1000), 0);
    assert_int_equal(growth_until(&g, -1), -1);
}

static void what_is_given_back_counts(void **state)
{
    (void)state;
    struct growth g = {0};
    for (int64_t t = 0; t <= 300; t++) { /* a saw tooth that stays where it is */
        growth_note(&g, t * S, (t % 10) * 1000);
    }
    int64_t left = growth_until(&g, 1000000);
    assert_true(left == -1 || left > 2000);
    for (int64_t t = 301; t <= 400; t++) {
        growth_note(&g, t * S, 400 - t);
    }
    assert_int_equal(growth_until(&g, 1000000), -1);
}

static void unknown_begins_anew(void **state)
{
    (void)state;
    struct growth g = {0};
    for (int64_t t = 0; t < 60; t++) {
        growth_note(&g, t * S, t);
    }
    growth_note(&g, 60 * S, -1);
    assert_int_equal(growth_until(&g, 1000), -1);
    growth_note(&g, 61 * S, 900);
    growth_note(&g, 61 * S, 901); /* no time has passed */
    growth_note(&g, 67 * S, 906);
    assert_in_range(growth_until(&g, 1000), 93, 95);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steady_growth_has_an_end),
        cmocka_unit_test(what_is_given_back_counts),
        cmocka_unit_test(unknown_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
