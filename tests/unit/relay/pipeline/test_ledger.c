/* The ledger: a frontier that no order of acknowledgements, no rewind and no late report can push
 * past a gap. */
#include "unit.h"

#include "pipeline/ledger.h"
#include <stdlib.h>

/* The n-th event that a test makes has the n-th byte as its origin. */
static const char origins[1 << 20];

static uint64_t number_of(const struct event *e)
{
    return (uint64_t)((const char *)e->origin - origins);
}

static struct batch *batch_of(size_t n, uint64_t first)
{
    struct batch *b = batch_new();
    for (size_t i = 0; i < n; i++) {
        struct event *e = batch_add(b);
        assert_true(first + i < sizeof origins);
        e->origin = origins + first + i;
        e->bytes = 10;
        b->bytes += 10;
    }
    return b;
}

static uint64_t put(struct ledger *l, size_t n)
{
    struct ledger_run run;
    assert_true(ledger_next(l, &run));
    assert_true(n <= run.to - run.from);
    ledger_opened(l, n);
    return run.token;
}

/* The orders of all events that are settled and not yet taken, in one list. */
static size_t take_all(struct ledger *l, uint64_t *orders)
{
    struct ledger_run run;
    size_t n = 0;
    while (ledger_take_settled(l, &run)) {
        for (size_t i = run.from; i < run.to; i++) {
            orders[n++] = number_of(&run.batch->events[i]);
        }
        if (run.ends_batch) {
            batch_free(run.batch);
        }
    }
    return n;
}

static void frontier_waits_for_the_gap(void **state)
{
    (void)state;
    uint64_t got[10];
    struct ledger *l = ledger_new();
    ledger_admit(l, batch_of(4, 1));
    uint64_t t = put(l, 4);
    assert_true(ledger_complete(l, t + 1));
    assert_true(ledger_complete(l, t + 3));
    assert_int_equal(take_all(l, got), 0);
    assert_true(ledger_complete(l, t));
    assert_int_equal(take_all(l, got), 2);
    assert_int_equal(got[1], 2);
    assert_true(ledger_complete(l, t + 2));
    assert_int_equal(take_all(l, got), 2);
    assert_int_equal(got[1], 4);
    assert_int_equal(ledger_bytes(l), 0);
    ledger_free(l);
}

static void a_report_counts_once(void **state)
{
    (void)state;
    struct ledger *l = ledger_new();
    ledger_admit(l, batch_of(2, 1));
    uint64_t t = put(l, 2);
    assert_true(ledger_complete(l, t + 1));
    assert_false(ledger_complete(l, t + 1));
    assert_false(ledger_complete(l, t + 2));
    assert_false(ledger_complete(l, 0));
    ledger_free(l);
}

static void rewind_gives_new_tokens_and_ignores_the_old(void **state)
{
    (void)state;
    uint64_t got[10];
    struct ledger_run run;
    struct ledger *l = ledger_new();
    ledger_admit(l, batch_of(3, 1));
    ledger_admit(l, batch_of(3, 4));
    uint64_t old = put(l, 3);
    put(l, 2);
    assert_true(ledger_complete(l, old));
    assert_true(ledger_complete(l, old + 2)); /* behind the gap: goes again */
    ledger_rewind(l);
    assert_int_equal(ledger_open_count(l), 0);
    assert_int_equal(ledger_waiting_count(l), 5);
    for (uint64_t t = old; t < old + 5; t++) {
        assert_false(ledger_complete(l, t));
        assert_false(ledger_find(l, t, &run));
    }
    uint64_t fresh = put(l, 2);
    put(l, 2);
    assert_true(fresh >= old + 5);
    assert_true(ledger_find(l, fresh, &run));
    assert_int_equal(number_of(&run.batch->events[run.from]), 2);
    assert_true(ledger_find(l, fresh + 3, &run)); /* in the next batch */
    assert_int_equal(number_of(&run.batch->events[run.from]), 5);
    assert_false(ledger_find(l, fresh + 4, &run));
    ledger_complete(l, fresh);
    ledger_complete(l, fresh + 1);
    assert_int_equal(take_all(l, got), 3);
    ledger_free(l);
}

static void dropped_events_leave_the_rest_whole(void **state)
{
    (void)state;
    uint64_t got[10];
    struct ledger *l = ledger_new();
    ledger_admit(l, batch_of(4, 1));
    ledger_admit(l, batch_of(4, 5));
    uint64_t t = put(l, 2);
    ledger_drop_waiting(l);
    assert_int_equal(ledger_waiting_count(l), 0);
    assert_int_equal(ledger_bytes(l), 20);
    ledger_admit(l, batch_of(1, 9));
    assert_int_equal(put(l, 1), t + 2);
    for (uint64_t i = 0; i < 3; i++) {
        assert_true(ledger_complete(l, t + i));
    }
    assert_int_equal(take_all(l, got), 3);
    assert_int_equal(got[2], 9);
    assert_int_equal(ledger_bytes(l), 0);
    ledger_free(l);
}

static void a_batch_cut_behind_its_settled_part_is_let_go(void **state)
{
    (void)state;
    uint64_t got[10];
    struct ledger *l = ledger_new();
    ledger_admit(l, batch_of(4, 1));
    uint64_t t = put(l, 2);
    ledger_complete(l, t);
    ledger_complete(l, t + 1);
    assert_int_equal(take_all(l, got), 2);
    ledger_drop_waiting(l);
    ledger_admit(l, batch_of(2, 3));
    t = put(l, 2);
    ledger_complete(l, t);
    ledger_complete(l, t + 1);
    assert_int_equal(take_all(l, got), 2);
    assert_int_equal(got[0], 3);
    ledger_free(l);
}

static void open_runs_name_every_open_event(void **state)
{
    (void)state;
    struct ledger *l = ledger_new();
    struct ledger_run run;
    ledger_admit(l, batch_of(2, 1));
    ledger_admit(l, batch_of(3, 3));
    uint64_t t = put(l, 2), iter = 0;
    put(l, 2);
    ledger_complete(l, t);
    assert_true(ledger_open_run(l, &iter, &run));
    assert_int_equal(number_of(&run.batch->events[run.from]), 2);
    assert_true(ledger_open_run(l, &iter, &run));
    assert_int_equal(run.to - run.from, 2);
    assert_int_equal(number_of(&run.batch->events[run.to - 1]), 4);
    assert_false(ledger_open_run(l, &iter, &run));
    ledger_free(l);
}

static void what_waits_up_to_the_end_of_a_transaction(void **state)
{
    (void)state;
    struct ledger *l = ledger_new();
    struct batch *a = batch_of(3, 1), *b = batch_of(3, 4);
    assert_int_equal(ledger_waiting_whole(l), 0);
    a->events[0].ends_transaction = b->events[1].ends_transaction = true;
    ledger_admit(l, a);
    assert_int_equal(ledger_waiting_whole(l), 1);
    ledger_admit(l, b);
    assert_int_equal(ledger_waiting_whole(l), 5);
    put(l, 2);
    assert_int_equal(ledger_waiting_whole(l), 3);
    put(l, 1);
    put(l, 2);
    assert_int_equal(ledger_waiting_whole(l), 0);
    ledger_rewind(l);
    assert_int_equal(ledger_waiting_whole(l), 5);
    ledger_end_transaction(l);
    assert_int_equal(ledger_waiting_whole(l), 6);
    ledger_free(l);
}

/* Against a plain model: any mixture of steps keeps the settled events exactly the contiguous
 * acknowledged prefix. */
static void random_steps_agree_with_the_model(void **state)
{
    (void)state;
    enum { EVENTS = 20000 };
    srand(7);
    struct ledger *l = ledger_new();
    uint64_t admitted = 0, settled = 0, *got = calloc(EVENTS, sizeof *got);
    uint64_t open[EVENTS];
    size_t opens = 0;
    while (settled < EVENTS) {
        int step = rand() % 100;
        struct ledger_run run;
        if (step < 20 && admitted < EVENTS) {
            size_t n = (size_t)(rand() % 50 + 1);
            n = n > EVENTS - admitted ? EVENTS - admitted : n;
            ledger_admit(l, batch_of(n, admitted + 1));
            admitted += n;
        } else if (step < 50 && ledger_next(l, &run)) {
            size_t n = (size_t)rand() % (run.to - run.from) + 1;
            for (size_t i = 0; i < n; i++) {
                open[opens++] = run.token + i;
            }
            ledger_opened(l, n);
        } else if (step == 99 && rand() % 10 == 0) {
            ledger_rewind(l);
            opens = 0;
        } else if (opens > 0) {
            size_t i = (size_t)rand() % opens;
            assert_true(ledger_complete(l, open[i]));
            open[i] = open[--opens];
        }
        size_t n = take_all(l, got);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(got[i], ++settled);
        }
    }
    assert_int_equal(ledger_bytes(l), 0);
    free(got);
    ledger_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frontier_waits_for_the_gap),
        cmocka_unit_test(a_report_counts_once),
        cmocka_unit_test(rewind_gives_new_tokens_and_ignores_the_old),
        cmocka_unit_test(dropped_events_leave_the_rest_whole),
        cmocka_unit_test(a_batch_cut_behind_its_settled_part_is_let_go),
        cmocka_unit_test(open_runs_name_every_open_event),
        cmocka_unit_test(what_waits_up_to_the_end_of_a_transaction),
        cmocka_unit_test(random_steps_agree_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
