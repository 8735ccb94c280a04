/* The shards of a process between their pipelines and the thread that has their locks: who may feed
 * one, and when its lock may be given up. No server: the test says what the thread did. */
#include "unit.h"

#include "store/postgres/seats.h"
#include <string.h>

enum { SHARDS = 4, BACKEND = 77 };

static void set_up(struct pg_seats *s, int64_t lease_us)
{
    struct error err;
    assert_int_equal(pg_seats_init(s, SHARDS, lease_us, &err), RESULT_DONE);
}

/* All pipelines claim their shards, which is in vain yet. */
static void want_all(struct pg_seats *s)
{
    struct error err;
    uint64_t term;
    int64_t backend;
    for (int i = 0; i < SHARDS; i++) {
        assert_int_equal(pg_seats_claim(s, i, &term, &backend, &err), RESULT_AGAIN);
    }
}

static uint64_t claimed(struct pg_seats *s, int shard)
{
    struct error err;
    uint64_t term = 0;
    int64_t backend = 0;
    if (pg_seats_claim(s, shard, &term, &backend, &err)) {
        fail_msg("shard %d: %s", shard, err.text);
    }
    assert_int_equal(backend, BACKEND);
    return term;
}

/* Joins alone, and takes all. */
static void take_all(struct pg_seats *s)
{
    pg_seats_joined(s, BACKEND, clock_mono_us());
    for (int i = 0; i < SHARDS; i++) {
        pg_seats_taken(s, i);
    }
}

/* The server shows that another member has nothing, and that nothing is free. */
static int see_a_poor_one(struct pg_seats *s)
{
    s->give_at_us = 0; /* a second has passed */
    return pg_seats_looked(s, 2, 0, "", clock_mono_us());
}

static int asked_back(struct pg_seats *s)
{
    int found = -1;
    for (int i = 0; i < SHARDS; i++) {
        if (pg_seats_ask(s, i) == STORE_SEAT_ASKED_BACK) {
            assert_int_equal(found, -1);
            found = i;
        }
    }
    return found;
}

static void a_shard_is_fed_under_its_lock_only(void **state)
{
    (void)state;
    struct pg_seats s;
    set_up(&s, 0);
    want_all(&s);
    pg_seats_joined(&s, BACKEND, clock_mono_us());
    assert_int_equal(pg_seats_ask(&s, 1), STORE_SEAT_AWAY);
    pg_seats_taken(&s, 1);
    assert_int_equal(pg_seats_ask(&s, 1), STORE_SEAT_OURS);
    uint64_t term = claimed(&s, 1);
    assert_true(pg_seats_hold(&s, 1, term));
    assert_false(pg_seats_hold(&s, 2, term));
    pg_seats_release(&s);
}

/* I4 */
static void a_lock_is_given_up_after_its_pipeline_has_left(void **state)
{
    (void)state;
    struct pg_seats s;
    set_up(&s, 0);
    want_all(&s);
    take_all(&s);
    for (int i = 0; i < SHARDS; i++) {
        claimed(&s, i);
    }
    assert_int_equal(see_a_poor_one(&s), -1);
    int back = asked_back(&s);
    assert_in_range(back, 0, SHARDS - 1);
    assert_int_equal(pg_seats_to_unlock(&s), -1);
    pg_seats_leave(&s, back, false);
    assert_int_equal(pg_seats_to_unlock(&s), back);
    assert_int_equal(pg_seats_to_unlock(&s), -1);
    assert_int_equal(pg_seats_ask(&s, back), STORE_SEAT_AWAY);
    pg_seats_release(&s);
}

static void one_is_asked_back_at_a_time(void **state)
{
    (void)state;
    struct pg_seats s;
    set_up(&s, 0);
    want_all(&s);
    take_all(&s);
    for (int i = 0; i < SHARDS; i++) {
        claimed(&s, i);
    }
    see_a_poor_one(&s);
    int back = asked_back(&s);
    int64_t next_us = s.give_at_us;
    see_a_poor_one(&s); /* although the second is over */
    assert_int_equal(asked_back(&s), back);
    s.give_at_us = next_us;
    pg_seats_leave(&s, back, false);
    assert_int_equal(pg_seats_to_unlock(&s), back);
    /* Within the same second no further one. */
    assert_int_equal(pg_seats_looked(&s, 2, 0, "", clock_mono_us()), -1);
    assert_int_equal(asked_back(&s), -1);
    pg_seats_release(&s);
}

static void one_that_nobody_feeds_is_given_first(void **state)
{
    (void)state;
    struct pg_seats s;
    struct error err;
    uint64_t term;
    int64_t backend;
    set_up(&s, 0);
    want_all(&s);
    take_all(&s);
    claimed(&s, 0);
    claimed(&s, 2);
    claimed(&s, 3);
    see_a_poor_one(&s);
    assert_int_equal(asked_back(&s), -1);
    assert_int_equal(pg_seats_claim(&s, 1, &term, &backend, &err), RESULT_AGAIN);
    assert_int_equal(pg_seats_to_unlock(&s), 1);
    pg_seats_release(&s);
}

/* I1: all shards go with the connection, and a lock that is taken again later is another one. */
static void a_lost_connection_ends_all(void **state)
{
    (void)state;
    struct pg_seats s;
    struct error why, err;
    uint64_t term;
    int64_t backend;
    set_up(&s, 0);
    want_all(&s);
    take_all(&s);
    term = claimed(&s, 0);
    error_set(&why, ERROR_RETRY, "postgres", "the cable was cut");
    pg_seats_lost(&s, &why);
    assert_false(pg_seats_hold(&s, 0, term));
    assert_int_equal(pg_seats_claim(&s, 0, &term, &backend, &err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "the cable was cut"));
    take_all(&s);
    assert_false(pg_seats_hold(&s, 0, term));
    assert_true(pg_seats_hold(&s, 0, claimed(&s, 0)));
    pg_seats_release(&s);
}

/* A look that was answered is older than the lease: the server may have given the locks away. */
static void silence_ends_all(void **state)
{
    (void)state;
    struct pg_seats s;
    set_up(&s, 3600 * US_PER_SECOND);
    want_all(&s);
    take_all(&s);
    uint64_t term = claimed(&s, 0);
    assert_true(pg_seats_hold(&s, 0, term));
    s.proof_us = clock_mono_us() - 3600 * US_PER_SECOND;
    assert_false(pg_seats_hold(&s, 0, term));
    assert_int_equal(pg_seats_ask(&s, 0), STORE_SEAT_AWAY);
    assert_int_equal(pg_seats_looked(&s, 1, SHARDS, "", clock_mono_us()), -1);
    assert_true(pg_seats_hold(&s, 0, term)); /* it was only slow */
    pg_seats_release(&s);
}

/* A pipeline that has ended: its shard is given up, and not taken again here. */
static void what_nobody_wants_is_not_taken(void **state)
{
    (void)state;
    struct pg_seats s;
    set_up(&s, 0);
    assert_false(pg_seats_wanted(&s));
    want_all(&s);
    take_all(&s);
    claimed(&s, 2);
    pg_seats_leave(&s, 2, true);
    assert_int_equal(pg_seats_to_unlock(&s), 2);
    assert_int_equal(pg_seats_looked(&s, 1, 3, "2", clock_mono_us()), -1);
    for (int i = 0; i < SHARDS; i++) {
        pg_seats_leave(&s, i, true);
    }
    assert_false(pg_seats_wanted(&s));
    pg_seats_release(&s);
}

static void a_free_one_is_taken(void **state)
{
    (void)state;
    struct pg_seats s;
    set_up(&s, 0);
    want_all(&s);
    pg_seats_joined(&s, BACKEND, clock_mono_us());
    assert_int_equal(pg_seats_looked(&s, 1, 0, "3", clock_mono_us()), 3);
    int found = pg_seats_looked(&s, 1, 0, "0,2", clock_mono_us());
    assert_true(found == 0 || found == 2);
    assert_int_equal(pg_seats_looked(&s, 1, 0, "", clock_mono_us()), -1);
    assert_int_equal(pg_seats_looked(&s, 0, 0, "3", clock_mono_us()), -1);
    pg_seats_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shard_is_fed_under_its_lock_only),
        cmocka_unit_test(a_lock_is_given_up_after_its_pipeline_has_left),
        cmocka_unit_test(one_is_asked_back_at_a_time),
        cmocka_unit_test(one_that_nobody_feeds_is_given_first),
        cmocka_unit_test(a_lost_connection_ends_all),
        cmocka_unit_test(silence_ends_all),
        cmocka_unit_test(what_nobody_wants_is_not_taken),
        cmocka_unit_test(a_free_one_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
