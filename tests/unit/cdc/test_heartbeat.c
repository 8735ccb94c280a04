/* heartbeat: sent only when the slot does not move by itself, and only when it has where to go. */
#include "unit.h"

#include "cdc/heartbeat.h"

enum { EVERY = 1000 };

static void a_slot_that_moves_needs_none(void **state)
{
    (void)state;
    struct heartbeat h;
    heartbeat_start(&h, EVERY, 0);
    for (int64_t now = 0; now < 10 * EVERY; now += EVERY / 2) {
        assert_false(heartbeat_due(&h, 100 + (uint64_t)now, 1000000, now));
    }
}

static void a_slot_that_stands_gets_one_each_interval(void **state)
{
    (void)state;
    struct heartbeat h;
    heartbeat_start(&h, EVERY, 0);
    assert_false(heartbeat_due(&h, 100, 200, 10));
    assert_false(heartbeat_due(&h, 100, 200, 10 + EVERY - 1));
    assert_true(heartbeat_due(&h, 100, 200, 10 + EVERY));
    assert_false(heartbeat_due(&h, 100, 200, 11 + EVERY));
    assert_true(heartbeat_due(&h, 100, 200, 10 + 2 * EVERY));
}

static void a_slot_at_the_end_needs_none(void **state)
{
    (void)state;
    struct heartbeat h;
    heartbeat_start(&h, EVERY, 0);
    assert_false(heartbeat_due(&h, 200, 200, 1));
    assert_false(heartbeat_due(&h, 200, 200, 5 * EVERY));
    assert_true(heartbeat_due(&h, 200, 201, 5 * EVERY));
}

static void a_server_that_takes_no_writes_is_left_alone(void **state)
{
    (void)state;
    struct heartbeat h;
    heartbeat_start(&h, EVERY, 0);
    h.refused = true;
    assert_false(heartbeat_due(&h, 100, 200, 5 * EVERY));
}

/* They are messages for consumers: one each interval, whatever the slot does. */
static void always_there_is_one_each_interval(void **state)
{
    (void)state;
    struct heartbeat h;
    heartbeat_start(&h, EVERY, 0);
    h.always = true;
    assert_false(heartbeat_due(&h, 100, 100, EVERY - 1));
    assert_true(heartbeat_due(&h, 150, 150, EVERY));
    assert_false(heartbeat_due(&h, 200, 200, 2 * EVERY - 1));
    assert_true(heartbeat_due(&h, 300, 400, 2 * EVERY));
    h.refused = true;
    assert_false(heartbeat_due(&h, 300, 400, 9 * EVERY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_that_moves_needs_none),
        cmocka_unit_test(a_slot_that_stands_gets_one_each_interval),
        cmocka_unit_test(a_slot_at_the_end_needs_none),
        cmocka_unit_test(always_there_is_one_each_interval),
        cmocka_unit_test(a_server_that_takes_no_writes_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
