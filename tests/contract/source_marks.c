/* Rows are marked by their owner only, and neither failures nor a sudden end lose one. */
#include "../unit/unit.h"

#include "patience.h"
#include "source_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_marks(const struct source_case *c)
{
    return strcmp(c->mode, "status") == 0 || strcmp(c->mode, "delete") == 0;
}

static bool has_status(const struct source_case *c)
{
    return strcmp(c->mode, "status") == 0;
}

static bool has_connections(const struct source_case *c)
{
    return c->kind->cut != NULL;
}

static void an_overtaken_relay_marks_nothing(void **state)
{
    struct world *w = *state;
    world_emit_range(w, 1, 2);
    world_start(w, NULL);
    assert_true(world_acks(w));
    world_drain(w);
    world_sql(w, 0, "update %s set epoch = 8", w->c->kind->positions);
    assert_int_equal(world_try_ack(w, 0, 2), RESULT_ERROR);
    /* A server's lock says whose turn it is, so this one waits; of two lock files nobody does. */
    assert_int_equal(w->err.class, has_connections(w->c) ? ERROR_RETRY : ERROR_FATAL);
    world_forget(w);
    assert_int_equal(world_try_start(w, NULL, 8), RESULT_DONE);
    assert_comes(w, "1 2");
}

static void a_row_that_waits_holds_back_its_key_only(void **state)
{
    struct world *w = *state;
    world_emit(w, 1, "a");
    world_emit(w, 2, "a");
    world_emit(w, 3, "b");
    world_start(w, NULL);
    assert_non_null(w->ops->note_failure);
    world_drain(w);
    struct slice first = slice_from(w->got[0].row_key);
    char key[sizeof w->got[0].row_key];
    int64_t due = clock_wall_us() + 3600 * US_PER_SECOND;
    assert_int_equal(w->ops->note_failure(w->source, first, 1, "it's \"no\"", due, &w->err), 0);
    memcpy(key, w->got[0].row_key, sizeof key);
    world_go_on(w, 0);
    world_drain(w);
    assert_int_equal(w->got_count, 1);
    assert_int_equal(w->got[0].number, 3);
    world_ack(w, 0, 1);
    assert_false(world_idle(w)); /* due later is not done */
    due = clock_wall_us() + 200 * US_PER_MS;
    assert_int_equal(w->ops->note_failure(w->source, slice_from(key), 2, "no", due, &w->err), 0);
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (w->got_count < 3) {
        world_read(w, 10, SIZE_MAX);
        assert_true(clock_mono_us() < until);
    }
    assert_true(clock_wall_us() >= due);
    assert_true(w->got[1].number == 1 && w->got[2].number == 2);
    first = slice_from(w->got[1].row_key);
    assert_int_equal(w->ops->note_failure(w->source, first, 3, "never", TIME_NONE, &w->err), 0);
    world_go_on(w, 0);
    world_drain(w);
    assert_int_equal(w->got_count, 1);
    assert_int_equal(w->got[0].number, 2);
    world_ack(w, 0, 1);
    assert_true(world_idle(w)); /* a failed row is a dead letter, not pending */
}

static void a_lost_connection_loses_no_event(void **state)
{
    struct world *w = *state;
    char cursor[512];
    world_emit_range(w, 1, 4);
    world_start(w, NULL);
    while (w->got_count < 2) {
        world_read_some(w, 2, SIZE_MAX);
    }
    world_ack(w, 0, 2);
    snprintf(cursor, sizeof cursor, "%s", w->got[1].cursor);
    w->c->kind->cut(&w->outbox);
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (world_try_read(w, 10, SIZE_MAX) == RESULT_DONE && world_wait(w, until) == RESULT_DONE) {
        assert_true(clock_mono_us() < until);
    }
    assert_int_equal(w->err.class, ERROR_RETRY);
    world_forget(w);
    world_start(w, cursor);
    assert_comes(w, "3 4");
}

static void closed_in_the_middle_it_leaves_nothing_behind(void **state)
{
    struct world *w = *state;
    struct slice key;
    world_emit_range(w, 1, 50);
    world_start(w, NULL);
    world_read_some(w, 5, SIZE_MAX);
    key = slice_from(w->got[0].row_key);
    if (world_acks(w)) {
        assert_true(w->ops->ack(w->source, &key, 1, &w->err) >= 0);
    }
    batch_reset(w->batch);
    assert_true(w->ops->read(w->source, w->batch, 5, SIZE_MAX, &w->err) >= 0);
    int64_t before = clock_mono_us();
    w->ops->close(w->source);
    assert_true(clock_mono_us() - before < PATIENCE_US);
    w->source = NULL;
    w->ops->close(NULL);
}

const struct source_test source_marks_cases[] = {
    SOURCE_CASE_OF(an_overtaken_relay_marks_nothing, has_marks),
    SOURCE_CASE_OF(a_row_that_waits_holds_back_its_key_only, has_status),
    SOURCE_CASE_OF(a_lost_connection_loses_no_event, has_connections),
    SOURCE_CASE(closed_in_the_middle_it_leaves_nothing_behind),
    {{0}, NULL},
};
