/* The breaker opens on a ratio, tries one, and closes on a success. */
#include "unit.h"

#include "pipeline/breaker.h"

static void opens_on_the_ratio_of_the_window(void **state)
{
    (void)state;
    struct breaker b;
    breaker_init(&b, 20, 0.5, 1000);
    for (int i = 0; i < 4; i++) {
        breaker_failure(&b, 0);
        assert_true(breaker_allows(&b, 0)); /* too few outcomes to judge */
    }
    breaker_failure(&b, 0);
    assert_false(breaker_allows(&b, 999));
}

static void successes_keep_it_closed(void **state)
{
    (void)state;
    struct breaker b;
    breaker_init(&b, 20, 0.5, 1000);
    for (int i = 0; i < 100; i++) {
        breaker_success(&b);
        if (i % 3 == 0) {
            breaker_failure(&b, 0);
        }
    }
    assert_int_equal(b.state, BREAKER_CLOSED);
}

static void half_open_lets_the_next_outcome_decide(void **state)
{
    (void)state;
    struct breaker b;
    breaker_init(&b, 4, 0.5, 1000);
    breaker_failure(&b, 0);
    assert_false(breaker_allows(&b, 1));
    assert_true(breaker_allows(&b, 1000));
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
    breaker_failure(&b, 1000);
    assert_false(breaker_allows(&b, 1999));
    assert_true(breaker_allows(&b, 2000));
    breaker_success(&b);
    assert_int_equal(b.state, BREAKER_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_on_the_ratio_of_the_window),
        cmocka_unit_test(successes_keep_it_closed),
        cmocka_unit_test(half_open_lets_the_next_outcome_decide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
