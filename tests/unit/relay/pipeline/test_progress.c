/* What is marked, what may be saved, and what is done again after a lost connection. */
#include "unit.h"

#include "pipeline/progress.h"
#include <stdio.h>
#include <string.h>

struct world {
    struct progress g;
    struct batch *b; /* to settle events of */
};

static int begin(void **state, bool marks_rows)
{
    static struct world w;
    progress_init(&w.g, marks_rows);
    w.b = batch_new();
    *state = &w;
    return 0;
}

static int rows_are_marked(void **state)
{
    return begin(state, true);
}

static int no_row_is_marked(void **state)
{
    return begin(state, false);
}

static int end(void **state)
{
    struct world *w = *state;
    progress_release(&w->g);
    batch_free(w->b);
    return 0;
}

/* `n` events settle that were delivered; with keys "k<number>" where rows are marked. */
static void settle(struct progress *g, struct batch *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char key[24];
        progress_number(g);
        snprintf(key, sizeof key, "k%llu", (unsigned long long)g->delivered);
        if (g->marks_rows) {
            progress_add_key(g, slice_from(key));
        }
    }
    assert_null(progress_settle(g, b, n - 1, n, false));
}

static void save(struct progress *g, const char *cursor)
{
    assert_true(progress_may_save(g));
    progress_set_cursor(g, slice_from(cursor));
    progress_save_begun(g);
    assert_false(progress_may_save(g)); /* one at a time */
    progress_save_done(g);
    assert_string_equal(buf_str(&g->saving_cursor), cursor);
}

/* The source marks exactly the rows k<from>..k<to>. */
static void begin_mark(struct progress *g, unsigned from, unsigned to)
{
    const struct progress_keys *keys;
    assert_true(progress_mark_begin(g, &keys));
    assert_int_equal(keys->count, to - from + 1);
    for (unsigned i = 0; i < keys->count; i++) {
        char key[24];
        snprintf(key, sizeof key, "k%u", from + i);
        assert_true(slice_equal_str(keys->keys[i], key));
    }
}

static void without_rows_to_mark_all_that_is_settled_may_be_saved(void **state)
{
    struct world *w = *state;
    struct progress *g = &w->g;
    assert_true(progress_all_saved(g));
    assert_false(progress_may_save(g));
    settle(g, w->b, 3);
    assert_int_equal(progress_unmarked(g), 0);
    assert_int_equal(g->delivered_marked, 3);
    assert_false(progress_all_saved(g));
    save(g, "c3");
    assert_true(progress_all_saved(g));
}

static void what_is_not_marked_is_not_saved(void **state)
{
    struct world *w = *state;
    struct progress *g = &w->g;
    settle(g, w->b, 2);
    assert_int_equal(progress_unmarked(g), 2);
    assert_false(progress_may_save(g));
    begin_mark(g, 1, 2);
    settle(g, w->b, 3); /* meanwhile */
    assert_false(progress_may_save(g));
    progress_mark_done(g);
    assert_int_equal(progress_unmarked(g), 3);
    assert_int_equal(g->delivered, 5);
    assert_int_equal(g->delivered_marked, 2); /* the number that is saved */
    save(g, "c");
    assert_false(progress_all_saved(g));
    begin_mark(g, 3, 5);
    progress_mark_done(g);
    save(g, "c");
    assert_true(progress_all_saved(g));
}

static void what_settles_during_a_save_is_saved_by_the_next(void **state)
{
    struct world *w = *state;
    struct progress *g = &w->g;
    settle(g, w->b, 1);
    progress_set_cursor(g, slice_from("c1"));
    progress_save_begun(g);
    settle(g, w->b, 1);
    progress_set_cursor(g, slice_from("c2"));
    progress_save_done(g);
    assert_string_equal(buf_str(&g->saving_cursor), "c1"); /* no more than that may be confirmed */
    assert_false(progress_all_saved(g));
    save(g, "c2");
    assert_true(progress_all_saved(g));
}

static void a_lost_mark_goes_again_before_newer_keys(void **state)
{
    struct world *w = *state;
    struct progress *g = &w->g;
    settle(g, w->b, 2);
    begin_mark(g, 1, 2);
    settle(g, w->b, 1);
    progress_connection_lost(g);
    progress_connection_lost(g); /* twice: it stays lost */
    assert_false(progress_may_save(g));
    assert_false(progress_all_saved(g));
    begin_mark(g, 1, 2);
    progress_mark_done(g);
    assert_int_equal(progress_unmarked(g), 1);
    begin_mark(g, 3, 3);
    progress_mark_done(g);
    assert_int_equal(progress_unmarked(g), 0);
}

static void a_lost_save_is_due_again(void **state)
{
    struct world *w = *state;
    struct progress *g = &w->g;
    settle(g, w->b, 2);
    progress_set_cursor(g, slice_from("c2"));
    progress_save_begun(g);
    progress_connection_lost(g);
    assert_false(progress_all_saved(g));
    save(g, "c2");
    assert_true(progress_all_saved(g));
}

static void a_moved_cursor_is_saved_and_is_no_event(void **state)
{
    struct world *w = *state;
    struct progress *g = &w->g;
    progress_move(g, SLICE_LITERAL("moved"));
    assert_int_equal(g->events, 0);
    assert_int_equal(g->delivered, 0);
    assert_int_equal(progress_unmarked(g), 0);
    assert_false(progress_all_saved(g));
    save(g, "moved");
    assert_true(progress_all_saved(g));
}

static void a_recovered_commit_is_saved_after_its_rows_are_marked(void **state)
{
    struct world *w = *state;
    struct progress *g = &w->g;
    progress_adopt(g, SLICE_LITERAL("stored"), 0);
    progress_set_cursor(g, SLICE_LITERAL("recovered"));
    progress_add_key(g, SLICE_LITERAL("k1"));
    progress_add_key(g, SLICE_LITERAL("k2"));
    progress_recover(g, 2);
    assert_int_equal(g->events, 0);
    assert_int_equal(g->delivered, 2);
    assert_int_equal(g->delivered_marked, 0);
    assert_false(progress_may_save(g));
    begin_mark(g, 1, 2);
    progress_mark_done(g);
    assert_int_equal(g->delivered_marked, 2);
    save(g, "recovered");
    assert_true(progress_all_saved(g));
}

static void what_has_no_row_to_mark_is_saved_all_the_same(void **state)
{
    struct world *w = *state;
    struct progress *g = &w->g;
    const struct progress_keys *keys;
    settle(g, w->b, 1);
    begin_mark(g, 1, 1);
    progress_mark_done(g);
    assert_null(progress_settle(g, w->b, 0, 1, false)); /* a dead letter: neither number nor key */
    assert_int_equal(g->events, 2);
    assert_int_equal(progress_unmarked(g), 1);
    assert_false(progress_mark_begin(g, &keys));
    assert_int_equal(progress_unmarked(g), 0);
    assert_int_equal(g->delivered_marked, 1);
    save(g, "c");
    assert_true(progress_all_saved(g));
}

static void what_is_stored_replaces_what_was_in_memory(void **state)
{
    struct world *w = *state;
    struct progress *g = &w->g;
    settle(g, w->b, 2);
    begin_mark(g, 1, 2);
    settle(g, w->b, 1);
    progress_connection_lost(g);
    progress_adopt(g, SLICE_LITERAL("another relay's"), 70);
    assert_true(progress_all_saved(g));
    assert_int_equal(progress_unmarked(g), 0);
    assert_string_equal(buf_str(&g->cursor), "another relay's");
    assert_false(g->cursor_stale);
    assert_int_equal(g->delivered, 70);
    assert_int_equal(g->delivered_marked, 70);
    settle(g, w->b, 1);
    begin_mark(g, 71, 71); /* none of the old keys, in neither set */
    progress_mark_done(g);
    settle(g, w->b, 1);
    begin_mark(g, 72, 72);
    progress_mark_done(g);
}

static void the_last_batch_is_kept_until_the_next_one(void **state)
{
    struct world *w = *state;
    struct progress *g = &w->g;
    struct batch *first = w->b, *second = batch_new();
    assert_null(progress_settle(g, first, 4, 5, false)); /* still the ledger's */
    assert_true(g->cursor_stale);
    assert_ptr_equal(g->last_batch, first);
    assert_int_equal(g->last_index, 4);
    progress_set_cursor(g, SLICE_LITERAL("c"));
    assert_null(progress_settle(g, first, 4, 0, true)); /* nothing new, but ours now */
    assert_false(g->cursor_stale);
    assert_int_equal(g->last_index, 4);
    assert_ptr_equal(progress_settle(g, second, 0, 1, true), first);
    assert_ptr_equal(g->last_batch, second);
    assert_null(progress_let_go(g)); /* its cursor is not made yet */
    progress_set_cursor(g, SLICE_LITERAL("d"));
    assert_ptr_equal(progress_let_go(g), second);
    assert_null(progress_let_go(g));
    batch_free(second);
    /* `end` frees the first. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_rows_to_mark_all_that_is_settled_may_be_saved,
                                        no_row_is_marked, end),
        cmocka_unit_test_setup_teardown(what_is_not_marked_is_not_saved, rows_are_marked, end),
        cmocka_unit_test_setup_teardown(what_settles_during_a_save_is_saved_by_the_next,
                                        no_row_is_marked, end),
        cmocka_unit_test_setup_teardown(a_lost_mark_goes_again_before_newer_keys, rows_are_marked,
                                        end),
        cmocka_unit_test_setup_teardown(a_lost_save_is_due_again, no_row_is_marked, end),
        cmocka_unit_test_setup_teardown(a_moved_cursor_is_saved_and_is_no_event, no_row_is_marked,
                                        end),
        cmocka_unit_test_setup_teardown(a_recovered_commit_is_saved_after_its_rows_are_marked,
                                        rows_are_marked, end),
        cmocka_unit_test_setup_teardown(what_has_no_row_to_mark_is_saved_all_the_same,
                                        rows_are_marked, end),
        cmocka_unit_test_setup_teardown(what_is_stored_replaces_what_was_in_memory, rows_are_marked,
                                        end),
        cmocka_unit_test_setup_teardown(the_last_batch_is_kept_until_the_next_one, no_row_is_marked,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
