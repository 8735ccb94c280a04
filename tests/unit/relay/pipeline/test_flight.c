/* How many events are kept in hand for a sink that acknowledges each soon: against a sink that is
 * simulated. */
#include "unit.h"

#include "base/clock.h"
#include "pipeline/flight.h"

/* A way of `way_us`, and a server that takes one event every 1e6 / rate microseconds. The pipeline
 * keeps the window full, for so many events in all. Ends with the window as it is then, and says
 * how long it took. */
static int64_t run(struct flight *w, int64_t *now, int64_t way_us, int64_t rate, uint64_t events)
{
    static uint64_t token = 1;
    uint64_t put = 0, acked = 0, first = token;
    double served = (double)*now, start = served;
    static double done[1 << 20]; /* when each is acknowledged */
    while (acked < events) {
        while (put < events && put - acked < w->events) {
            double begun = served > (double)*now ? served : (double)*now;
            served = begun + 1e6 / (double)rate;
            done[put % (1 << 20)] = served + (double)way_us;
            flight_put(w, first + put++, *now);
        }
        *now = (int64_t)done[acked % (1 << 20)];
        flight_acked(w, first + acked++, *now);
    }
    token += put;
    return (int64_t)((double)*now - start);
}

static void it_grows_until_the_sink_is_busy(void **state)
{
    (void)state;
    struct flight w;
    flight_init(&w);
    int64_t now = 1000;
    run(&w, &now, 100 * 1000, 100 * 1000, 200 * 1000);
    /* 100,000 a second for a tenth of a second are 10,000 on their way, and twice as many keep it
     * busy. */
    assert_in_range(w.events, 15000, 25000);
    int64_t took = run(&w, &now, 100 * 1000, 100 * 1000, 200 * 1000);
    assert_in_range(took, 2000 * 1000, 2200 * 1000);
}

static void a_near_sink_gets_little(void **state)
{
    (void)state;
    struct flight w;
    flight_init(&w);
    int64_t now = 1000;
    run(&w, &now, 1000, 150 * 1000, 500 * 1000);
    assert_int_equal(w.events, 2000);
}

static void it_shrinks_with_a_slower_sink_and_grows_with_a_longer_way(void **state)
{
    (void)state;
    struct flight w;
    flight_init(&w);
    int64_t now = 1000;
    run(&w, &now, 50 * 1000, 200 * 1000, 500 * 1000);
    assert_in_range(w.events, 15000, 25000);
    run(&w, &now, 50 * 1000, 30 * 1000, 500 * 1000);
    assert_in_range(w.events, 2000, 4000);
    run(&w, &now, 500 * 1000, 30 * 1000, 1000 * 1000);
    assert_in_range(w.events, 20000, 40000);
}

static void a_timed_event_that_is_never_acknowledged_is_forgotten(void **state)
{
    (void)state;
    struct flight w;
    flight_init(&w);
    flight_put(&w, 7, 0);
    flight_put(&w, 8, 10);
    assert_int_equal(w.timed, 7);
    flight_forget(&w);
    flight_acked(&w, 7, 20); /* a late report */
    flight_put(&w, 9, 30);
    assert_int_equal(w.timed, 9);
    flight_acked(&w, 9, 30); /* in the same microsecond */
    assert_int_equal(w.timed, 0);
    assert_int_equal(w.events, 2000);
}

static void a_probe_ends_without_an_answer_too(void **state)
{
    (void)state;
    struct flight w;
    flight_init(&w);
    flight_put(&w, 1, 0);
    flight_acked(&w, 1, 11 * US_PER_SECOND);
    assert_true(w.events < 1000);
    flight_put(&w, 2, 11 * US_PER_SECOND);
    flight_time(&w, 11 * US_PER_SECOND + 500 * US_PER_MS);
    assert_true(w.events < 1000);
    flight_time(&w, 13 * US_PER_SECOND);
    assert_int_equal(w.events, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_until_the_sink_is_busy),
        cmocka_unit_test(a_near_sink_gets_little),
        cmocka_unit_test(it_shrinks_with_a_slower_sink_and_grows_with_a_longer_way),
        cmocka_unit_test(a_probe_ends_without_an_answer_too),
        cmocka_unit_test(a_timed_event_that_is_never_acknowledged_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
