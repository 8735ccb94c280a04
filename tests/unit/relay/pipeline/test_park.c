/* delivery.poison: park_key, with parts that fail at random. Of a parked key nothing is sent before
 * its dead letter was dealt with, all others flow, and what waits comes in order. */
#include "unit.h"

#include "base/log.h"
#include "fakes.h"
#include <stdlib.h>
#include <string.h>

enum { EVENTS = 600, BAD = 100 };

static struct metrics metrics;

static struct conf_delivery parking(void)
{
    struct conf_delivery d = fake_delivery();
    d.poison = CONF_POISON_PARK_KEY;
    return d;
}

static struct fake *fresh(void)
{
    struct fake *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->events = EVENTS;
    f->keys = 7;
    f->poison[BAD] = true;
    return f;
}

/* Four kinds of source and sink. Spoilt events are found by the source, so that the sink isolates
 * nothing and each event comes once. */
static void make_kind(struct fake *f, int kind)
{
    f->spoilt = true;
    f->commits = kind == 1;
    f->ack_keys = kind == 2;
    f->slot = kind == 3;
}

static bool is_open(const struct fake *f, unsigned n)
{
    return f->dead[n] && !f->retried[n];
}

/* The judge: within a key each event comes first after all before it, but those that were given up;
 * behind an open dead letter everything waits. */
static void assert_in_order(const struct fake *f)
{
    bool *seen = fake_assert_in_order(f), parked[64] = {0};
    for (unsigned n = 1; n <= f->events; n++) {
        unsigned key = n % f->keys;
        assert_true(seen[n] || f->dead[n] || f->waits[n]);
        assert_false(seen[n] && f->waits[n]);
        assert_false(parked[key] && seen[n]);
        parked[key] |= is_open(f, n);
    }
    free(seen);
}

static unsigned count_waiting(const struct fake *f)
{
    unsigned waiting = 0;
    for (unsigned n = 1; n <= f->events; n++) {
        waiting += f->waits[n];
    }
    return waiting;
}

static unsigned behind(unsigned bad, unsigned events, unsigned keys)
{
    return (events - bad) / keys;
}

static void later_events_of_the_key_wait_and_others_flow(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct fake *f = fresh();
        make_kind(f, kind);
        assert_int_equal(fake_run(f, parking(), &metrics), 0);
        assert_in_order(f);
        unsigned waiting = behind(BAD, EVENTS, 7);
        assert_int_equal(count_waiting(f), waiting);
        assert_int_equal(f->sent_count, EVENTS - 1 - waiting);
        assert_int_equal(f->saved_cursor, EVENTS);
        assert_int_equal(f->saved_delivered, EVENTS - 1 - waiting);
        assert_int_equal(metrics_get(&metrics.parked_keys), 1);
        assert_int_equal(metrics_get(&metrics.parked_events), waiting);
        free(f);
    }
}

static void a_suspect_is_found_before_its_key_is_parked(void **state)
{
    (void)state;
    struct fake *f = fresh();
    f->poison[BAD + 1] = true;
    assert_int_equal(fake_run(f, parking(), &metrics), 0);
    assert_in_order(f);
    assert_true(f->parks[BAD] && f->parks[BAD + 1]);
    assert_int_equal(count_waiting(f), 2 * behind(BAD + 1, EVENTS, 7));
    assert_int_equal(metrics_get(&metrics.parked_keys), 2);
    free(f);
}

/* They are stored together: a transaction for each would be too slow. */
static void many_wait_in_few_transactions(void **state)
{
    (void)state;
    struct fake *f = fresh();
    struct conf_delivery d = parking();
    f->spoilt = true;
    f->events = FAKE_EVENTS;
    f->keys = 1;
    d.max_in_flight = 2000;
    d.save_interval_us = US_PER_SECOND / 10;
    assert_int_equal(fake_run(f, d, &metrics), 0);
    assert_in_order(f);
    assert_int_equal(count_waiting(f), FAKE_EVENTS - BAD);
    assert_in_range(f->transactions, 1, 40);
    free(f);
}

/* The dead letter first, then what waited, and the key is free. */
static void a_retry_sends_what_waits_in_order(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct fake *f = fresh();
        make_kind(f, kind);
        f->retry_after = 1;
        assert_int_equal(fake_run(f, parking(), &metrics), 0);
        assert_in_order(f);
        assert_string_equal(f->answer, "sent again: 1");
        assert_int_equal(count_waiting(f), 0);
        assert_int_equal(f->sent_count, EVENTS);
        assert_int_equal(f->saved_delivered, EVENTS);
        assert_int_equal(metrics_get(&metrics.parked_keys), 0);
        assert_int_equal(metrics_get(&metrics.parked_events), 0);
        assert_int_equal(metrics_get(&metrics.events_delivered), EVENTS);
        free(f);
    }
}

static void a_drop_lets_what_waits_flow(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct fake *f = fresh();
        make_kind(f, kind);
        f->retry_after = 1;
        f->drops = true;
        assert_int_equal(fake_run(f, parking(), &metrics), 0);
        assert_in_order(f);
        assert_int_equal(count_waiting(f), 0);
        assert_false(f->delivered[BAD]);
        assert_int_equal(f->sent_count, EVENTS - 1);
        assert_int_equal(metrics_get(&metrics.parked_keys), 0);
        free(f);
    }
}

/* What waits may be poison too: it is the next dead letter, and the rest waits on. */
static void the_next_poison_parks_the_key_again(void **state)
{
    (void)state;
    for (int found = 0; found < 2; found++) {
        struct fake *f = fresh();
        unsigned next = BAD + 5 * 7;
        f->spoilt = found;
        f->poison[next] = true;
        f->retry_after = 1;
        assert_int_equal(fake_run(f, parking(), &metrics), 0);
        assert_in_order(f);
        assert_true(f->retried[BAD] && f->delivered[next - 7] && is_open(f, next));
        assert_int_equal(count_waiting(f), behind(next, EVENTS, 7));
        assert_int_equal(metrics_get(&metrics.parked_keys), 1);
        free(f);
    }
}

/* What waits goes in several pages, with others in between: also an event of the key that is read
 * meanwhile waits. A mutant of park_state.c must fail here (tests/CMakeLists.txt). */
static void new_events_wait_until_what_waited_is_sent(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct fake *f = fresh();
        f->random = seed;
        f->events = FAKE_EVENTS;
        f->keys = 3;
        f->spoilt = true;
        f->poison[2000] = true; /* of another key: by then hundreds wait behind the first */
        f->retry_after = 2;
        assert_int_equal(fake_run(f, parking(), &metrics), 0);
        assert_in_order(f);
        assert_int_equal(count_waiting(f), 0);
        assert_int_equal(f->sent_count, FAKE_EVENTS);
        free(f);
    }
}

/* Whatever fails meanwhile; files have each event once. */
static void parking_survives_failures_everywhere(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 40; seed++) {
        struct fake *f = fresh();
        f->random = seed;
        f->poison[BAD + 3] = f->poison[BAD + 7] = f->poison[BAD + 300] = true;
        f->retry_after = seed % 3;
        f->drops = seed % 5 == 0;
        f->spoilt = f->commits = seed % 2;
        f->ack_keys = seed % 4 > 1;
        f->source_fails_in = 60;
        f->sink_fails_in = 80;
        f->store_fails_in = 30;
        assert_int_equal(fake_run(f, parking(), &metrics), 0);
        assert_in_order(f);
        assert_int_equal(f->saved_cursor, EVENTS);
        assert_int_equal(metrics_get(&metrics.parked_events), count_waiting(f));
        if (f->commits) {
            bool twice[EVENTS + 1] = {0};
            assert_int_equal(f->saved_delivered, f->sent_count);
            for (size_t i = 0; i < f->sent_count; i++) {
                assert_false(twice[f->sent[i]]);
                twice[f->sent[i]] = true;
            }
        }
        free(f);
    }
}

/* A relay that starts finds in the store what is parked. */
static void a_key_stays_parked_over_a_restart(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct fake *f = fresh();
        make_kind(f, kind);
        assert_int_equal(fake_run(f, parking(), &metrics), 0);
        f->events = 2 * EVENTS;
        struct conf_delivery d = parking();
        d.poison = kind % 2 ? CONF_POISON_STOP : d.poison; /* whatever the setting is now */
        assert_int_equal(fake_run(f, d, &metrics), 0);
        assert_in_order(f);
        assert_int_equal(count_waiting(f), behind(BAD, 2 * EVENTS, 7));
        f->events = 3 * EVENTS;
        f->retry_after = 1;
        assert_int_equal(fake_run(f, d, &metrics), 0);
        assert_in_order(f);
        assert_int_equal(count_waiting(f), 0);
        assert_int_equal(f->sent_count, 3 * EVENTS);
        free(f);
    }
}

/* The relay was killed when the dead letter was stored: the row is told, and the event does not go
 * to the sink, also if only the sink can say that it is poison. */
static void the_event_of_a_letter_comes_again(void **state)
{
    (void)state;
    enum { FIRST = 1 }; /* nothing of its key is before it: that would be delivered */
    for (unsigned kind = 0; kind < 4; kind++) {
        struct fake *f = fresh();
        f->poison[BAD] = false;
        f->poison[FIRST] = true;
        struct conf_delivery d = parking();
        f->dead[FIRST] = f->parks[FIRST] = true;
        f->spoilt = kind % 2;
        f->mended[FIRST] = true; /* the sink would take it */
        f->ack_keys = true;
        d.poison = kind < 2 ? d.poison : CONF_POISON_STOP; /* whatever the setting is now */
        d.park.max_keys = 1;                               /* its own */
        assert_int_equal(fake_run(f, d, &metrics), 0);
        assert_in_order(f);
        assert_true(f->noted[FIRST] && f->marked[FIRST] && is_open(f, FIRST) && f->parks[FIRST]);
        assert_false(f->delivered[FIRST]);
        assert_int_equal(count_waiting(f), behind(FIRST, EVENTS, 7));
        free(f);
    }
}

/* The store fails now and then while the letters are dropped. */
static void an_order_to_drop_is_obeyed_to_its_end(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct fake *f = fresh();
        f->spoilt = f->poison[BAD + 1] = f->poison[BAD + 2] = true;
        assert_int_equal(fake_run(f, parking(), &metrics), 0);
        f->random = seed;
        f->order = "100,101,102,103";
        f->drops = true;
        f->store_fails_in = 3;
        assert_int_equal(fake_run(f, parking(), &metrics), 0);
        assert_string_equal(f->answer, "dropped: 3; not open, so nothing was done: 1");
        assert_true(f->retried[BAD] && f->retried[BAD + 1] && f->retried[BAD + 2]);
        free(f);
    }
}

static void without_room_the_pipeline_stops(void **state)
{
    (void)state;
    struct fake *f = fresh();
    struct conf_delivery d = parking();
    f->spoilt = true;
    d.park.max_events = 3;
    assert_int_equal(fake_run(f, d, &metrics), EXIT_CODE_GAVE_UP);
    assert_null(f->broken);
    assert_int_equal(count_waiting(f), 3);
    assert_int_equal(f->saved_cursor, BAD + 4 * 7 - 1); /* the fourth finds no room */
    free(f);
}

static void no_more_keys_are_parked_than_may_be(void **state)
{
    (void)state;
    struct fake *f = fresh();
    struct conf_delivery d = parking();
    f->spoilt = true;
    f->poison[BAD + 10] = true;
    d.park.max_keys = 1;
    assert_int_equal(fake_run(f, d, &metrics), EXIT_CODE_GAVE_UP);
    assert_null(f->broken);
    assert_true(f->dead[BAD] && !f->dead[BAD + 10]);
    assert_int_equal(f->saved_cursor, BAD + 9);
    free(f);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_LOGFMT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_events_of_the_key_wait_and_others_flow),
        cmocka_unit_test(a_suspect_is_found_before_its_key_is_parked),
        cmocka_unit_test(many_wait_in_few_transactions),
        cmocka_unit_test(a_retry_sends_what_waits_in_order),
        cmocka_unit_test(a_drop_lets_what_waits_flow),
        cmocka_unit_test(the_next_poison_parks_the_key_again),
        cmocka_unit_test(new_events_wait_until_what_waited_is_sent),
        cmocka_unit_test(parking_survives_failures_everywhere),
        cmocka_unit_test(a_key_stays_parked_over_a_restart),
        cmocka_unit_test(the_event_of_a_letter_comes_again),
        cmocka_unit_test(an_order_to_drop_is_obeyed_to_its_end),
        cmocka_unit_test(without_room_the_pipeline_stops),
        cmocka_unit_test(no_more_keys_are_parked_than_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
