/* txn: what was delivered is skipped, all of it and nothing else, wherever a restart falls. */
#include "unit.h"

#include "cdc/txn.h"

static struct txn at(uint64_t start, uint64_t commit, uint64_t ordinal, uint32_t part, bool same)
{
    struct txn t;
    const struct cdc_cursor c = {
        .start = start, .commit = commit, .ordinal = ordinal, .part = part};
    txn_reset(&t, &c, same);
    return t;
}

static void changes_are_counted_and_skipped_by_number(void **state)
{
    (void)state;
    struct txn t = at(100, 200, 2, 0, true);
    assert_true(txn_begin(&t, 200, 5, 7));
    const bool delivered[] = {true, true, false, false};
    for (size_t i = 0; i < 4; i++) {
        assert_true(txn_count(&t));
        assert_int_equal(txn_was_delivered(&t, 0), delivered[i]);
        assert_int_equal(txn_was_delivered(&t, UINT32_MAX), delivered[i]);
    }
    assert_true(txn_commit(&t, 200, 210));
    assert_int_equal(t.start, 210);
    assert_int_equal(t.last_end, 210);
}

static void parts_of_a_change_are_skipped_one_by_one(void **state)
{
    (void)state;
    struct txn t = at(100, 200, 2, 1, true);
    assert_true(txn_begin(&t, 200, 5, 7));
    assert_true(txn_count(&t) && txn_count(&t) && txn_count(&t));
    assert_true(txn_was_delivered(&t, 0));
    assert_false(txn_was_delivered(&t, 1));
    assert_false(txn_was_delivered(&t, UINT32_MAX));
    assert_true(txn_count(&t));
    assert_false(txn_was_delivered(&t, 0));
}

static void another_transaction_is_not_skipped(void **state)
{
    (void)state;
    struct txn t = at(100, 200, 2, 0, true);
    assert_true(txn_begin(&t, 150, 5, 7));
    assert_true(txn_count(&t));
    assert_false(txn_was_delivered(&t, 0));
    assert_true(txn_commit(&t, 150, 160));
    /* The one before did not use up what was delivered of this one. */
    assert_true(txn_begin(&t, 200, 5, 7));
    assert_true(txn_count(&t));
    assert_true(txn_was_delivered(&t, 0));
}

static void other_options_begin_the_transaction_anew(void **state)
{
    (void)state;
    struct txn t = at(100, 200, 2, 0, false);
    assert_int_equal(txn_place_now(&t).commit, 0);
    assert_true(txn_begin(&t, 200, 5, 7));
    assert_true(txn_count(&t));
    assert_false(txn_was_delivered(&t, 0));
}

static void the_place_never_goes_back_while_delivered_changes_come_again(void **state)
{
    (void)state;
    struct txn t = at(100, 200, 2, 1, true);
    struct txn_place p = txn_place_now(&t);
    assert_int_equal(p.commit, 200);
    assert_int_equal(p.ordinal, 2);
    assert_int_equal(p.part, 1);
    assert_true(txn_begin(&t, 200, 5, 7) && txn_count(&t) && txn_count(&t));
    p = txn_place_now(&t);
    assert_int_equal(p.ordinal, 2);
    assert_int_equal(p.part, 1);
    assert_true(txn_count(&t));
    p = txn_place_now(&t);
    assert_int_equal(p.ordinal, 3);
    assert_int_equal(p.part, 0);
}

static void a_keepalive_counts_only_with_nothing_open(void **state)
{
    (void)state;
    struct txn t = at(100, 0, 0, 0, true);
    assert_true(txn_idle_at(&t, 150));
    assert_false(txn_idle_at(&t, 150));
    assert_false(txn_idle_at(&t, 120));
    assert_int_equal(t.start, 150);
    assert_true(txn_begin(&t, 200, 5, 7));
    assert_false(txn_idle_at(&t, 300));
    assert_int_equal(t.start, 150);
    assert_true(txn_commit(&t, 200, 210));
    assert_true(txn_idle_at(&t, 300));
    assert_int_equal(t.last_end, 210);
}

static void the_place_behind_a_part(void **state)
{
    (void)state;
    struct txn t = at(100, 0, 0, 0, true);
    assert_true(txn_begin(&t, 200, 5, 7) && txn_count(&t) && txn_count(&t));
    struct txn_place p = txn_place_behind(&t, 1, false);
    assert_int_equal(p.ordinal, 1);
    assert_int_equal(p.part, 2);
    p = txn_place_behind(&t, 2, true);
    assert_int_equal(p.ordinal, 2);
    assert_int_equal(p.part, 0);
    assert_int_equal(p.commit, 200);
}

static void the_transaction_before_is_known_after_a_restart(void **state)
{
    (void)state;
    struct txn t;
    txn_reset(&t, &(const struct cdc_cursor){.start = 150, .last = 100}, true);
    assert_int_equal(t.last_end, 100);
    assert_true(txn_begin(&t, 200, 5, 7));
    assert_int_equal(t.last_end, 100);
}

static void what_no_server_sends_is_told(void **state)
{
    (void)state;
    struct txn t = at(100, 0, 0, 0, true);
    assert_false(txn_count(&t));
    assert_false(txn_commit(&t, 200, 210));
    assert_true(txn_begin(&t, 200, 5, 7));
    assert_false(txn_begin(&t, 300, 5, 7));
    assert_false(txn_commit(&t, 201, 210));
    assert_false(txn_commit(&t, 200, 200));
    assert_true(t.open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_counted_and_skipped_by_number),
        cmocka_unit_test(parts_of_a_change_are_skipped_one_by_one),
        cmocka_unit_test(another_transaction_is_not_skipped),
        cmocka_unit_test(other_options_begin_the_transaction_anew),
        cmocka_unit_test(the_place_never_goes_back_while_delivered_changes_come_again),
        cmocka_unit_test(a_keepalive_counts_only_with_nothing_open),
        cmocka_unit_test(the_place_behind_a_part),
        cmocka_unit_test(the_transaction_before_is_known_after_a_restart),
        cmocka_unit_test(what_no_server_sends_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
