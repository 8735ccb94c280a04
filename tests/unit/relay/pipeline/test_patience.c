/* How long a pipeline that is to end by itself (--until-idle, or for one order without a daemon)
 * waits for a sink that is down or asks to wait. Here each look at the clock takes a millisecond of
 * its time, and no time otherwise. */
#include "unit.h"

#include "fakes.h"

#include <stdlib.h>

/* The linker puts it in the place of clock_mono_us (tests/CMakeLists.txt). */
int64_t __wrap_clock_mono_us(void);

static int64_t clock_us;

int64_t __wrap_clock_mono_us(void)
{
    clock_us += US_PER_MS;
    if (clock_us > 3600 * US_PER_SECOND) {
        fail_msg("it has waited for an hour");
    }
    return clock_us;
}

static struct metrics metrics;

static struct fake *fresh(void)
{
    struct fake *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->events = 100;
    clock_us = 0;
    return f;
}

static void gives_up(struct fake *f)
{
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), EXIT_CODE_GAVE_UP);
    assert_null(f->broken);
    assert_true(clock_us > 30 * US_PER_SECOND && clock_us < 120 * US_PER_SECOND);
    free(f);
}

static void a_sink_that_takes_nothing_is_waited_for_half_a_minute(void **state)
{
    (void)state;
    struct fake *f = fresh();
    f->put_busy_in = 1;
    gives_up(f);
}

static void so_is_one_that_cannot_be_started(void **state)
{
    (void)state;
    struct fake *f = fresh();
    f->sink_busy_in = 1;
    gives_up(f);
}

static void and_one_that_acknowledges_nothing_and_says_why(void **state)
{
    (void)state;
    struct fake *f = fresh();
    f->sticks = true;
    gives_up(f);
}

static void the_time_that_a_receiver_names_is_waited_for(void **state)
{
    (void)state;
    struct fake *f = fresh();
    f->put_busy_in = 1;
    f->busy_us = 40 * US_PER_SECOND;
    f->busy_times = 2;
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
    assert_null(f->broken);
    assert_int_equal(f->sent_count, 100);
    assert_true(clock_us > 80 * US_PER_SECOND);
    free(f);
}

static void whoever_takes_some_is_waited_for_again(void **state)
{
    (void)state;
    struct fake *f = fresh();
    f->put_busy_in = 1;
    f->busy_us = 40 * US_PER_SECOND;
    f->busy_times = 2;
    f->busy_each = 50;
    struct conf_delivery d = fake_delivery();
    d.max_in_flight = 10;
    assert_int_equal(fake_run(f, d, &metrics), 0);
    assert_null(f->broken);
    assert_int_equal(f->asked_to_slow_down, 4);
    assert_int_equal(f->sent_count, 100);
    free(f);
}

/* Two dead letters, which a command without a daemon sends again. */
static struct fake *letters(void)
{
    struct fake *f = fresh();
    f->dead[3] = f->dead[5] = true;
    f->order = "3,5";
    return f;
}

/* `most`: what is lost on the way is sent once more. */
static void are_sent(struct fake *f, size_t most)
{
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
    assert_null(f->broken);
    assert_string_equal(f->answer, "sent again: 2");
    assert_in_range(f->sent_count, 2, most);
    assert_int_equal(f->letters_failed, 0);
    free(f);
}

static void a_command_waits_for_a_sink_that_is_down_for_a_moment(void **state)
{
    (void)state;
    struct fake *f = letters();
    f->sink_refusals = 200;
    are_sent(f, 2);
    for (unsigned seed = 1; seed <= 30; seed++) { /* also with a letter in hand */
        f = letters();
        f->random = seed;
        f->sink_fails_in = 3;
        are_sent(f, FAKE_EVENTS);
    }
}

static void and_for_one_that_is_busy(void **state)
{
    (void)state;
    struct fake *f = letters();
    f->put_busy_in = 1;
    f->busy_us = US_PER_SECOND;
    f->busy_times = 3;
    are_sent(f, 2);
}

/* No letter is blamed for it. */
static void but_not_for_ever(void **state)
{
    (void)state;
    for (int busy = 0; busy < 2; busy++) {
        struct fake *f = letters();
        f->put_busy_in = busy ? 1 : 0;
        f->sink_refusals = busy ? 0 : UINT32_MAX;
        assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
        assert_null(f->broken);
        assert_non_null(strstr(f->answer, "not delivered: 2 of 2, which stay open: "));
        assert_non_null(strstr(f->answer, busy ? "it takes nothing" : "the pipeline is retrying"));
        assert_int_equal(f->letters_failed, 0);
        assert_true(clock_us > 30 * US_PER_SECOND && clock_us < 120 * US_PER_SECOND);
        free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sink_that_takes_nothing_is_waited_for_half_a_minute),
        cmocka_unit_test(so_is_one_that_cannot_be_started),
        cmocka_unit_test(and_one_that_acknowledges_nothing_and_says_why),
        cmocka_unit_test(the_time_that_a_receiver_names_is_waited_for),
        cmocka_unit_test(whoever_takes_some_is_waited_for_again),
        cmocka_unit_test(a_command_waits_for_a_sink_that_is_down_for_a_moment),
        cmocka_unit_test(and_for_one_that_is_busy),
        cmocka_unit_test(but_not_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
