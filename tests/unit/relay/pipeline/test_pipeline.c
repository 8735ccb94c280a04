/* The loop's promises, with parts that fail at random: nothing lost, nothing passed, order kept,
 * nothing saved too early. */
#include "unit.h"

#include "base/log.h"
#include "fakes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct metrics metrics;

static struct fake *fresh(unsigned events)
{
    struct fake *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->events = events;
    return f;
}

/* Every event reached the outside, and the first occurrences within each key are in order. */
static void assert_all_in_order(const struct fake *f)
{
    bool *seen = fake_assert_in_order(f);
    for (unsigned n = 1; n <= f->events; n++) {
        assert_true(seen[n] || f->dead[n]);
    }
    free(seen);
}

static void delivers_all_and_saves_the_end(void **state)
{
    (void)state;
    struct fake *f = fresh(2000);
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
    assert_all_in_order(f);
    assert_int_equal(f->sent_count, 2000);
    assert_int_equal(f->saved_cursor, 2000);
    assert_int_equal(f->saved_delivered, 2000);
    assert_true(f->max_in_hand <= 200);
    assert_int_equal(metrics_get(&metrics.events_delivered), 2000);
    free(f);
}

static void survives_failures_everywhere(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct fake *f = fresh(1500);
        f->random = seed;
        f->source_fails_in = 60;
        f->sink_fails_in = 80;
        f->store_fails_in = 40;
        assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
        assert_all_in_order(f);
        assert_int_equal(f->saved_cursor, 1500);
        free(f);
    }
}

static void marks_only_what_was_delivered(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct fake *f = fresh(1500);
        f->random = seed;
        f->ack_keys = true;
        f->source_fails_in = 60;
        f->sink_fails_in = 80;
        f->store_fails_in = 40;
        assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
        assert_all_in_order(f);
        for (unsigned n = 1; n <= 1500; n++) {
            assert_true(f->marked[n]);
        }
        free(f);
    }
}

static void files_hold_each_event_once(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct fake *f = fresh(1500);
        f->random = seed;
        f->commits = true;
        f->ack_keys = seed % 2;
        f->source_fails_in = 60;
        f->sink_fails_in = 80;
        f->store_fails_in = 40;
        assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
        assert_all_in_order(f);
        assert_int_equal(f->sent_count, 1500);
        assert_int_equal(f->saved_delivered, 1500);
        free(f);
    }
}

/* A receiver that asks to slow down, before or after it took an event, is no failure: nothing
 * counts it, no event is blamed, and it is not asked before the time that it named is over. */
static void a_receiver_that_asks_for_time_gets_it(void **state)
{
    (void)state;
    unsigned asked = 0;
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct fake *f = fresh(1500);
        f->random = seed;
        f->put_busy_in = 30;
        f->sink_busy_in = seed % 3 ? 60 : 0;
        f->ack_keys = seed % 2;
        struct conf_delivery d = fake_delivery();
        d.breaker.window = 1;
        d.attempts = 1;
        d.poison = CONF_POISON_SKIP;
        assert_int_equal(fake_run(f, d, &metrics), 0);
        assert_all_in_order(f);
        assert_int_equal(f->saved_cursor, 1500);
        if (f->sink_busy_in == 0) { /* what `put` does not take was not sent */
            assert_int_equal(f->sent_count, 1500);
        }
        for (int c = 0; c < METRICS_ERROR_CLASSES; c++) {
            assert_int_equal(metrics_get(&metrics.failures[c]), 0);
        }
        assert_int_equal(metrics_get(&metrics.retries), 0);
        assert_int_equal(metrics_get(&metrics.breaker_state), 0);
        assert_int_equal(metrics_get(&metrics.dead_letters), 0);
        asked += f->asked_to_slow_down;
        free(f);
    }
    assert_true(asked > 50);
}

/* The same with failures and refused events between: those are still dealt with as before. */
static void a_busy_receiver_may_fail_too(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct fake *f = fresh(600);
        f->random = seed;
        f->put_busy_in = f->sink_busy_in = 60;
        f->sink_fails_in = 90;
        f->poison[200] = f->poison[201] = true;
        struct conf_delivery d = fake_delivery();
        d.poison = CONF_POISON_SKIP;
        assert_int_equal(fake_run(f, d, &metrics), 0);
        assert_all_in_order(f);
        assert_true(f->dead[200] && f->dead[201]);
        assert_int_equal(metrics_get(&metrics.dead_letters), 2);
        free(f);
    }
}

static void transactions_that_fit_are_not_split(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct fake *f = fresh(1400);
        f->random = seed;
        f->commits = true;
        f->whole = seed % 2 ? 7 : 35;
        f->source_fails_in = f->store_fails_in = 60;
        f->sink_fails_in = 80;
        assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
        assert_all_in_order(f);
        assert_int_equal(f->sent_count, 1400);
        assert_int_equal(f->split, 0);
        free(f);
    }
}

static void a_transaction_larger_than_the_window_is_split(void **state)
{
    (void)state;
    struct fake *f = fresh(1400);
    f->commits = true;
    f->whole = 700;
    assert_true(fake_delivery().max_in_flight < 700);
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
    assert_all_in_order(f);
    assert_int_equal(f->sent_count, 1400);
    assert_true(f->split > 0);
    free(f);
}

/* Each failure of the source throws the open file away, so the next failure has to wait for it. */
static void a_file_is_completed_before_the_failing_place(void **state)
{
    (void)state;
    struct fake *f = fresh(500);
    f->commits = f->fails_until_sent = true;
    f->fails_at = 300;
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
    assert_all_in_order(f);
    assert_int_equal(f->sent_count, 500);
    free(f);
}

static void skip_isolates_the_guilty_and_sends_the_rest(void **state)
{
    (void)state;
    struct fake *f = fresh(600);
    struct conf_delivery d = fake_delivery();
    f->poison[100] = f->poison[101] = f->poison[577] = true;
    d.poison = CONF_POISON_SKIP;
    assert_int_equal(fake_run(f, d, &metrics), 0);
    assert_all_in_order(f);
    for (unsigned n = 1; n <= 600; n++) {
        assert_int_equal(f->dead[n], f->poison[n]);
    }
    assert_int_equal(f->saved_cursor, 600);
    assert_int_equal(f->saved_delivered, 597); /* a dead letter has no delivery number */
    assert_int_equal(metrics_get(&metrics.dead_letters), 3);
    free(f);
}

/* Such a sink reports in any order, and the pipeline blames nobody else. */
static void the_guilty_one_is_named_whatever_is_open_before_it(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct fake *f = fresh(600);
        struct conf_delivery d = fake_delivery();
        f->random = seed;
        f->names_guilty = true;
        f->poison[100] = f->poison[101] = f->poison[110] = f->poison[577] = true;
        d.poison = CONF_POISON_SKIP;
        assert_int_equal(fake_run(f, d, &metrics), 0);
        assert_all_in_order(f);
        for (unsigned n = 1; n <= 600; n++) {
            assert_int_equal(f->dead[n], f->poison[n]);
        }
        assert_int_equal(metrics_get(&metrics.dead_letters), 4);
        free(f);
    }
}

/* Each takes the store's time: the source is tended and a stop heard in between. */
static void many_dead_letters_hold_nothing_up(void **state)
{
    (void)state;
    struct fake *f = fresh(600);
    struct conf_delivery d = fake_delivery();
    f->slot = f->spoilt = true;
    for (unsigned n = 50; n <= 550; n++) {
        f->poison[n] = true;
    }
    d.poison = CONF_POISON_SKIP;
    assert_int_equal(fake_run(f, d, &metrics), 0);
    assert_all_in_order(f);
    assert_int_equal(f->saved_cursor, 600);
    assert_int_equal(metrics_get(&metrics.dead_letters), 501);
    assert_int_equal(f->most_untended, 1);
    free(f);
}

static void stop_keeps_what_was_before_and_sends_nothing_behind(void **state)
{
    (void)state;
    struct fake *f = fresh(600);
    f->poison[300] = true;
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), EXIT_CODE_GAVE_UP);
    assert_null(f->broken);
    assert_int_equal(f->saved_cursor, 299);
    assert_false(f->delivered[300]);
    free(f);
}

static void an_overtaken_relay_ends(void **state)
{
    (void)state;
    struct fake *f = fresh(4000);
    f->overtaken_after = 3;
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), EXIT_CODE_UNAVAILABLE);
    assert_null(f->broken);
    free(f);
}

/* Its sink says so: the lock decides who goes on, and what the other did there is looked at. */
static void a_relay_whose_sink_was_overtaken_asks_for_the_lock(void **state)
{
    (void)state;
    struct fake *f = fresh(4000);
    f->commits = true;
    f->sink_overtaken_after = 3;
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
    assert_null(f->broken);
    assert_false(f->sink_lost);
    assert_int_equal(f->locks_asked, 2);
    assert_int_equal(f->sent_count, 4000);
    free(f);
}

static void goes_on_from_the_stored_cursor(void **state)
{
    (void)state;
    struct fake *f = fresh(500);
    f->saved_cursor = 400;
    f->saved_delivered = 400;
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
    assert_int_equal(f->sent_count, 100);
    assert_int_equal(f->sent[0], 401);
    free(f);
}

static void a_commit_ahead_of_the_cursor_is_not_repeated(void **state)
{
    (void)state;
    struct fake *f = fresh(500);
    f->commits = true;
    f->saved_cursor = 100;
    f->saved_delivered = 100;
    f->intent_cursor = 250;
    f->intent_delivered = 250;
    for (unsigned n = 1; n <= 250; n++) {
        f->delivered[n] = true;
    }
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
    assert_null(f->broken);
    assert_int_equal(f->sent_count, 250);
    assert_int_equal(f->sent[0], 251);
    assert_int_equal(f->saved_delivered, 500);
    free(f);
}

/* The database fails while the recovered commit is being saved: at the next try memory knows of it,
 * the store does not. */
static void a_recovered_commit_keeps_its_intent_until_it_is_saved(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct fake *f = fresh(500);
        f->commits = true;
        f->random = seed;
        f->store_fails_in = 3;
        f->saved_delivered = f->saved_cursor = 100;
        f->intent_delivered = f->intent_cursor = 250;
        for (unsigned n = 1; n <= 250; n++) {
            f->delivered[n] = true;
        }
        assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
        assert_null(f->broken);
        assert_int_equal(f->sent[0], 251);
        assert_int_equal(f->saved_delivered, 500);
        free(f);
    }
}

/* 600 events, three of them dead letters by the time that all dead ones are retried. */
static struct fake *with_letters(struct conf_delivery *ret)
{
    struct fake *f = fresh(600);
    f->poison[100] = f->poison[101] = f->poison[250] = true;
    f->retry_after = 3;
    *ret = fake_delivery();
    ret->poison = CONF_POISON_SKIP;
    return f;
}

static unsigned count_retried(const struct fake *f)
{
    unsigned n = 0;
    for (unsigned i = 1; i <= f->events; i++) {
        assert_true(!f->retried[i] || f->delivered[i]);
        n += f->retried[i];
    }
    return n;
}

/* Each comes once, alone, under a delivery number of its own, and the cursor stays. */
static void dead_letters_are_sent_again(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct conf_delivery d;
        struct fake *f = with_letters(&d);
        f->commits = kind == 1;
        f->ack_keys = kind == 2;
        f->slot = kind == 3;
        f->spoilt = true; /* found by the source: the sink isolates nothing, and all comes once */
        assert_int_equal(fake_run(f, d, &metrics), 0);
        assert_null(f->broken);
        assert_int_equal(count_retried(f), 3);
        assert_string_equal(f->answer, "sent again: 3");
        assert_int_equal(f->sent_count, 600);
        assert_int_equal(f->saved_cursor, 600);
        assert_int_equal(f->saved_delivered, 600);
        assert_int_equal(metrics_get(&metrics.dead_letters), 0);
        free(f);
    }
}

/* Whatever fails meanwhile, none counts as sent that was not, and the pipeline goes on. */
static void a_retry_survives_failures_everywhere(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct conf_delivery d;
        struct fake *f = with_letters(&d);
        f->random = seed;
        f->spoilt = true;
        f->commits = seed % 2;
        f->ack_keys = seed % 4 == 0;
        f->source_fails_in = 60;
        f->sink_fails_in = 80;
        f->store_fails_in = 20;
        assert_int_equal(fake_run(f, d, &metrics), 0);
        assert_null(f->broken);
        assert_int_equal(f->saved_cursor, 600);
        assert_true(f->answer[0]); /* the order never stays unanswered */
        if (f->commits) {          /* each event once, and each with a number */
            assert_int_equal(f->saved_delivered, f->sent_count);
            assert_in_range(f->sent_count, 597 + count_retried(f), 600);
        }
        free(f);
    }
}

/* It fails alone as it did before: it stays open, and is blamed once a try. */
static void a_dead_letter_that_is_refused_again_stays_open(void **state)
{
    (void)state;
    struct conf_delivery d;
    struct fake *f = with_letters(&d);
    f->unmendable = 101;
    assert_int_equal(fake_run(f, d, &metrics), 0);
    assert_null(f->broken);
    assert_int_equal(count_retried(f), 2);
    assert_false(f->retried[101]);
    assert_int_equal(f->letters_failed, 1);
    assert_non_null(strstr(f->answer, "not delivered: 1 of 3"));
    assert_int_equal(f->saved_cursor, 600);
    free(f);
}

/* I4: whatever fails, a shard is given away when all that was read is settled and saved. */
static void a_shard_is_given_away_settled(void **state)
{
    (void)state;
    unsigned left_amid_failures = 0;
    for (unsigned seed = 1; seed <= 12; seed++) {
        struct fake *f = fresh(1500);
        f->random = seed;
        f->asked_back_each = 100;
        f->ack_keys = seed % 3 == 0;
        f->lingers = seed % 2 == 0;
        if (seed > 6) {
            f->sink_fails_in = f->source_fails_in = f->store_fails_in = 60;
        }
        struct conf_delivery d = fake_delivery();
        d.max_in_flight = 100; /* so that not all was read when the shard is asked for */
        assert_int_equal(fake_run(f, d, &metrics), 0);
        assert_all_in_order(f);
        left_amid_failures += seed > 6 ? f->left : 0;
        assert_in_range(f->left, seed > 6 ? 0 : 3, 15);
        free(f);
    }
    assert_true(left_amid_failures > 3);
}

/* I1: a lock that is lost ends the work at once; what was in flight may come again, in order. */
static void a_lost_shard_is_taken_again(void **state)
{
    (void)state;
    struct fake *f = fresh(1500);
    f->asked_back_each = 10000;
    f->lost_each = 200;
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
    assert_all_in_order(f);
    assert_int_equal(f->left, 0);
    free(f);
}

static void a_shard_in_isolation_is_given_away_settled(void **state)
{
    (void)state;
    struct fake *f = fresh(600);
    struct conf_delivery d = fake_delivery();
    f->asked_back_each = 50;
    d.max_in_flight = 50;
    f->poison[101] = f->poison[150] = f->poison[303] = true;
    d.poison = CONF_POISON_SKIP;
    assert_int_equal(fake_run(f, d, &metrics), 0);
    assert_all_in_order(f);
    assert_true(f->left > 2);
    free(f);
}

static void an_impossible_pair_is_refused(void **state)
{
    (void)state;
    struct fake *f = fresh(1);
    struct conf_delivery d = fake_delivery();
    d.dead_letter_topic = (char *)"dlt"; /* the fake sink has no topics */
    assert_int_equal(fake_run(f, d, &metrics), -1);
    free(f);
}

static void what_waits_for_the_sink_is_lag(void **state)
{
    (void)state;
    struct fake *f = fresh(100);
    f->silent = true;
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
    assert_all_in_order(f);
    free(f);
}

static void an_event_from_the_future_has_no_age(void **state)
{
    (void)state;
    struct fake *f = fresh(1);
    f->ahead = true;
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
    assert_int_equal(metrics_get(&metrics.lag_us), 0);
    free(f);
}

/* It may be slow, so the whole window is not put at once; later it is. */
static void a_sink_that_has_not_answered_yet_gets_little(void **state)
{
    (void)state;
    struct fake *f = fresh(4000);
    struct conf_delivery d = fake_delivery();
    d.max_in_flight = 3000;
    f->mute = 2000;
    assert_int_equal(fake_run(f, d, &metrics), 0);
    assert_all_in_order(f);
    assert_in_range(f->first_in_hand, 751, 1000);
    assert_true(f->max_in_hand > 1000);
    free(f);
}

static void a_slot_is_told_only_what_is_saved(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct fake *f = fresh(1000);
        f->slot = true;
        f->random = seed;
        f->source_fails_in = f->sink_fails_in = seed % 2 ? 40 : 0;
        assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
        assert_all_in_order(f);
        assert_int_equal(f->confirmed, 1000);
        assert_true(f->asked_moved > 0 && f->tended > 0);
        free(f);
    }
}

/* A room for all: nothing but the end of the events makes it send. */
static void with_nothing_more_to_put_the_sink_sends(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 4; seed++) {
        struct fake *f = fresh(700); /* fewer than a sink gets before its first answer */
        struct conf_delivery d = fake_delivery();
        d.max_in_flight = 10000;
        f->slot = seed % 2;
        f->random = seed;
        f->lingers = true;
        assert_int_equal(fake_run(f, d, &metrics), 0);
        assert_all_in_order(f);
        free(f);
    }
}

/* What was read and not sent is read again: it must neither be confirmed nor passed. */
static void stopped_midway_it_loses_nothing(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct fake *f = fresh(1500);
        f->slot = seed % 2;
        f->random = seed;
        f->sink_fails_in = seed % 3 ? 0 : 80;
        for (unsigned stop = 100; f->saved_cursor < 1500; stop += 200) {
            f->stop_after = stop;
            assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
            assert_null(f->broken);
        }
        assert_all_in_order(f);
        free(f);
    }
}

static void a_refused_position_changes_nothing(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 2; seed++) {
        struct fake *f = fresh(3000);
        f->slot = seed % 2;
        f->random = seed;
        f->position_after = 100;
        assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
        assert_true(f->refused);
        assert_all_in_order(f);
        free(f);
    }
}

/* That it could be connected is no success: the waits grow all the same. */
static void a_source_that_only_starts_gets_a_rest(void **state)
{
    (void)state;
    struct fake *f = fresh(100);
    struct conf_delivery d = fake_delivery();
    d.retry.initial_us = US_PER_MS;
    d.retry.max_us = 100 * US_PER_MS;
    f->unreadable_until_us = clock_mono_us() + 400 * US_PER_MS;
    assert_int_equal(fake_run(f, d, &metrics), 0);
    assert_all_in_order(f);
    assert_in_range(f->starts, 1, 60); /* with no rest it is hundreds in these 400 ms */
    free(f);
}

static void states_change_only_along_the_table(void **state)
{
    (void)state;
    assert_true(pipeline_state_may_follow(PIPELINE_STARTING, PIPELINE_RUNNING));
    assert_true(
        pipeline_state_may_follow(PIPELINE_RUNNING, PIPELINE_WAITING)); /* lock taken anew */
    assert_false(pipeline_state_may_follow(PIPELINE_STOPPED, PIPELINE_RUNNING));
    assert_false(pipeline_state_may_follow(PIPELINE_DRAINING, PIPELINE_RUNNING));
    assert_false(pipeline_state_may_follow(PIPELINE_FAILED, PIPELINE_STARTING));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivers_all_and_saves_the_end),
        cmocka_unit_test(survives_failures_everywhere),
        cmocka_unit_test(marks_only_what_was_delivered),
        cmocka_unit_test(files_hold_each_event_once),
        cmocka_unit_test(a_receiver_that_asks_for_time_gets_it),
        cmocka_unit_test(a_busy_receiver_may_fail_too),
        cmocka_unit_test(a_file_is_completed_before_the_failing_place),
        cmocka_unit_test(skip_isolates_the_guilty_and_sends_the_rest),
        cmocka_unit_test(the_guilty_one_is_named_whatever_is_open_before_it),
        cmocka_unit_test(many_dead_letters_hold_nothing_up),
        cmocka_unit_test(stop_keeps_what_was_before_and_sends_nothing_behind),
        cmocka_unit_test(an_overtaken_relay_ends),
        cmocka_unit_test(a_relay_whose_sink_was_overtaken_asks_for_the_lock),
        cmocka_unit_test(goes_on_from_the_stored_cursor),
        cmocka_unit_test(transactions_that_fit_are_not_split),
        cmocka_unit_test(a_transaction_larger_than_the_window_is_split),
        cmocka_unit_test(a_commit_ahead_of_the_cursor_is_not_repeated),
        cmocka_unit_test(a_recovered_commit_keeps_its_intent_until_it_is_saved),
        cmocka_unit_test(dead_letters_are_sent_again),
        cmocka_unit_test(a_retry_survives_failures_everywhere),
        cmocka_unit_test(a_dead_letter_that_is_refused_again_stays_open),
        cmocka_unit_test(a_shard_is_given_away_settled),
        cmocka_unit_test(a_lost_shard_is_taken_again),
        cmocka_unit_test(a_shard_in_isolation_is_given_away_settled),
        cmocka_unit_test(an_impossible_pair_is_refused),
        cmocka_unit_test(what_waits_for_the_sink_is_lag),
        cmocka_unit_test(an_event_from_the_future_has_no_age),
        cmocka_unit_test(a_sink_that_has_not_answered_yet_gets_little),
        cmocka_unit_test(a_slot_is_told_only_what_is_saved),
        cmocka_unit_test(with_nothing_more_to_put_the_sink_sends),
        cmocka_unit_test(stopped_midway_it_loses_nothing),
        cmocka_unit_test(a_refused_position_changes_nothing),
        cmocka_unit_test(a_source_that_only_starts_gets_a_rest),
        cmocka_unit_test(states_change_only_along_the_table),
    };
    log_configure(LOG_ERROR, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
