/* A source goes on exactly where a cursor or a position says, and only if the cursor is its own. */
#include "../unit/unit.h"

#include "plugin_conf.h"
#include "source_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_cursor_goes_on_right_behind_its_event(void **state)
{
    struct world *w = *state;
    world_emit_range(w, 1, 2);
    world_sql(w, 0, "begin");
    world_emit_range(w, 3, 5);
    world_sql(w, 0, "commit");
    world_emit(w, 6, "k");
    world_start(w, NULL);
    for (int delivered = 0; delivered < 6; delivered++) {
        world_drain(w);
        assert_int_equal(w->got_count, 6 - delivered);
        assert_int_equal(w->got[0].number, delivered + 1);
        world_go_on(w, 1);
    }
    assert_comes(w, "");
}

static void every_cursor_of_a_batch_is_its_events_own(void **state)
{
    struct world *w = *state;
    static struct got first[4];
    world_emit_range(w, 1, 4);
    world_start(w, NULL);
    world_drain(w);
    assert_int_equal(w->got_count, 4);
    memcpy(first, w->got, sizeof first);
    for (size_t i = 0; i < 4; i++) {
        world_forget(w);
        world_restart(w, first[i].cursor);
        world_drain(w);
        assert_int_equal(w->got_count, world_acks(w) ? 4 : 3 - i);
    }
}

static void the_cursor_of_where_it_stands_skips_nothing(void **state)
{
    struct world *w = *state;
    char cursor[512] = "";
    for (int n = 1; n <= 3; n++) {
        CLEANUP(buf_release) struct buf text = {0};
        world_restart(w, cursor[0] ? cursor : NULL);
        assert_comes(w, "");
        w->ops->cursor(w->source, NULL, SIZE_MAX, &text);
        assert_true(text.len > 0 && text.len < sizeof cursor);
        memcpy(cursor, buf_str(&text), text.len + 1);
        world_emit(w, n, "k");
        world_restart(w, cursor);
        world_drain(w);
        assert_int_equal(w->got_count, 1);
        assert_int_equal(w->got[0].number, n);
        buf_clear(&text);
        w->ops->cursor(w->source, NULL, SIZE_MAX, &text);
        memcpy(cursor, buf_str(&text), text.len + 1);
        world_ack(w, 0, 1);
        world_forget(w);
    }
}

/* After a failure the same source is started again, not opened again. */
static void started_again_it_reads_what_was_not_acknowledged(void **state)
{
    struct world *w = *state;
    char cursor[512];
    world_emit_range(w, 1, 6);
    world_start(w, NULL);
    while (w->got_count < 2) {
        world_read_some(w, 4, SIZE_MAX);
    }
    world_ack(w, 0, 2);
    snprintf(cursor, sizeof cursor, "%s", w->got[1].cursor);
    world_forget(w);
    world_start(w, cursor);
    assert_comes(w, "3 4 5 6");
}

static void acknowledged_rows_do_not_come_again(void **state)
{
    struct world *w = *state;
    world_emit_range(w, 1, 5);
    world_start(w, NULL);
    world_drain(w);
    world_ack(w, 1, 4); /* not only from the front */
    world_forget(w);
    world_restart(w, NULL);
    if (world_acks(w)) {
        assert_comes(w, "1 5");
    } else {
        assert_comes(w, "1 2 3 4 5");
    }
}

static bool can_accept(const struct source_case *c)
{
    return c->ops->accepts != NULL;
}

/* Its rows may be gone or marked when the delivery is recovered: they are its own all the same. */
static void a_delivered_cursor_is_accepted_and_a_foreign_one_refused(void **state)
{
    struct world *w = *state;
    struct got last;
    world_emit_range(w, 1, 3);
    world_start(w, NULL);
    world_drain(w);
    last = w->got[2];
    struct slice cursor = slice_from(last.cursor), position = slice_from(last.position);
    struct slice foreign = slice_from(w->c->kind->foreign_cursor), id = slice_from(last.id);
    struct slice other = slice_from(w->got[1].id);
    assert_int_equal(w->ops->accepts(w->source, cursor, position, id, &w->err), RESULT_DONE);
    assert_int_equal(w->ops->accepts(w->source, foreign, position, id, &w->err), RESULT_ERROR);
    assert_int_equal(w->err.exit_code, EXIT_CODE_UNAVAILABLE);
    if (!world_acks(w)) {
        assert_int_equal(w->ops->accepts(w->source, cursor, position, other, &w->err),
                         RESULT_ERROR);
        assert_int_equal(w->err.exit_code, EXIT_CODE_UNAVAILABLE);
    }
    world_ack(w, 0, 3);
    if (w->ops->accepts(w->source, cursor, position, id, &w->err)) {
        fail_msg("after the acknowledgement: %s", w->err.text);
    }
}

static void a_cursor_of_something_else_stops_the_start(void **state)
{
    struct world *w = *state;
    const char *const cursors[] = {w->c->kind->foreign_cursor, "x", "p1",
                                   "s1 99999999999999999999 -"};
    world_emit_range(w, 1, 2);
    for (size_t i = 0; i < sizeof cursors / sizeof *cursors; i++) {
        assert_int_equal(world_try_start(w, cursors[i], 7), RESULT_ERROR);
        assert_true(w->err.class == ERROR_FATAL || w->err.class == ERROR_CONFIG);
        assert_true(w->err.exit_code == EXIT_CODE_UNAVAILABLE ||
                    w->err.exit_code == EXIT_CODE_CONFIG);
    }
    world_start(w, NULL);
    assert_comes(w, "1 2");
}

static int place(struct world *w, const char *text, char cursor[512])
{
    CLEANUP(buf_release) struct buf out = {0};
    error_clear(&w->err);
    int rc = w->ops->position(w->source, text, &out, &w->err);
    if (rc == RESULT_DONE) {
        assert_true(out.len < 512);
        snprintf(cursor, 512, "%s", buf_str(&out));
    }
    return rc;
}

static void positions_people_give_lead_to_their_events(void **state)
{
    struct world *w = *state;
    char cursor[512], second[32];
    world_emit_range(w, 1, 3);
    world_start(w, NULL);
    world_drain(w);
    snprintf(second, sizeof second, "%s", w->got[1].position);
    world_forget(w);
    assert_int_equal(place(w, "beginning", cursor), RESULT_DONE);
    world_restart(w, cursor);
    assert_comes(w, "1 2 3");
    assert_int_equal(place(w, "nonsense", cursor), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_CONFIG);
    if (world_acks(w)) { /* the rows themselves are the position */
        assert_int_equal(place(w, "now", cursor), RESULT_ERROR);
        assert_int_equal(place(w, second, cursor), RESULT_ERROR);
        return;
    }
    assert_int_equal(place(w, second, cursor), RESULT_DONE);
    CLEANUP(buf_release) struct buf shown = {0};
    w->ops->describe(slice_from(cursor), &shown);
    assert_string_equal(buf_str(&shown), second);
    world_restart(w, cursor);
    assert_comes(w, "3");
    world_sql(w, 0, "begin");
    world_emit(w, 4, "k");
    assert_int_equal(place(w, "now", cursor), RESULT_DONE);
    world_sql(w, 0, "commit"); /* committed after "now", whenever it was inserted */
    world_restart(w, cursor);
    assert_comes(w, "4");
}

static void start_from_counts_only_while_nothing_is_stored(void **state)
{
    struct world *w = *state;
    CLEANUP(buf_release) struct buf cursor = {0};
    world_emit_range(w, 1, 2);
    plugin_conf_text(w->ops->keys, w->conf, "start_from", "now");
    if (world_try_start(w, NULL, 7)) {
        assert_int_equal(w->err.class, ERROR_CONFIG); /* refused where it means nothing */
        return;
    }
    assert_false(world_acks(w));
    w->ops->cursor(w->source, NULL, SIZE_MAX, &cursor); /* pinned before anything is read */
    world_emit(w, 3, "k");
    world_restart(w, buf_str(&cursor));
    assert_comes(w, "3");
}

/* --- for `tail` --- */

static bool has_a_past(const struct source_case *c)
{
    return c->ops->recent != NULL;
}

/* Opened to look: at every row, from the last n on. */
static void look_from(struct world *w, int64_t n)
{
    CLEANUP(buf_release) struct buf cursor = {0};
    w->ops->close(w->source);
    w->source = NULL;
    if (w->ops->open(w->conf, &w->env, &w->source, &w->caps, &w->err) ||
        w->ops->recent(w->source, n, &cursor, &w->err)) {
        fail_msg("the last %d: %s", (int)n, w->err.text);
    }
    world_forget(w);
    world_start(w, buf_str(&cursor));
}

static void look_at_every_row(struct world *w, struct source_range *every)
{
    *every = SOURCE_RANGE_ALL;
    every->every = true;
    w->env.range = every;
    w->env.observe = true;
}

static void every_row_is_shown_from_the_last_n_on(void **state)
{
    struct world *w = *state;
    struct source_range every;
    world_emit_range(w, 1, 5);
    world_start(w, NULL);
    bool marks = world_acks(w), deletes = w->caps & SOURCE_ACK_REMOVES;
    world_drain(w);
    world_ack(w, 0, 3);
    look_at_every_row(w, &every);
    look_from(w, 3);
    assert_comes(w, deletes ? "4 5" : "3 4 5");
    look_from(w, 1000);
    assert_comes(w, deletes ? "4 5" : "1 2 3 4 5");
    look_from(w, 0);
    assert_comes(w, "");
    world_emit_range(w, 6, 7);
    assert_comes(w, "6 7");
    w->env.range = NULL; /* the relay goes on as if nobody had looked */
    w->env.observe = false;
    world_restart(w, NULL);
    assert_comes(w, marks ? "4 5 6 7" : "1 2 3 4 5 6 7");
}

/* A number that was drawn early and is committed late is shown, too. */
static void a_late_commit_is_shown(void **state)
{
    struct world *w = *state;
    struct source_range every;
    look_at_every_row(w, &every);
    world_emit(w, 1, "k");
    look_from(w, 1);
    world_sql(w, 0, "begin");
    world_emit(w, 2, "k");
    bool both = world_try_emit(w, 1, 3, "k");
    assert_comes(w, both ? "1 3" : "1");
    world_sql(w, 0, "commit");
    assert_comes(w, "2");
}

static bool marks_without_xid(const struct source_case *c)
{
    return has_a_past(c) && c->kind->cut && strcmp(c->mode, "position") != 0;
}

/* A table that is only marked need not have xid: then seq alone says what is new. */
static void a_table_without_xid_is_shown_by_seq(void **state)
{
    struct world *w = *state;
    struct source_range every;
    world_sql(w, 0, "alter table outbox drop column xid");
    world_emit_range(w, 1, 3);
    look_at_every_row(w, &every);
    look_from(w, 2);
    assert_comes(w, "2 3");
    world_emit(w, 4, "k");
    assert_comes(w, "4");
    look_from(w, 0);
    assert_comes(w, "");
    world_emit(w, 5, "k");
    assert_comes(w, "5");
    world_sql(w, 0, "alter table outbox drop constraint outbox_pkey");
    CLEANUP(buf_release) struct buf cursor = {0};
    assert_int_equal(w->ops->recent(w->source, 1, &cursor, &w->err), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_CONFIG);
    assert_non_null(strstr(w->err.text, "tail goes by seq"));
}

const struct source_test source_resume_cases[] = {
    SOURCE_CASE(a_cursor_goes_on_right_behind_its_event),
    SOURCE_CASE(every_cursor_of_a_batch_is_its_events_own),
    SOURCE_CASE(the_cursor_of_where_it_stands_skips_nothing),
    SOURCE_CASE(started_again_it_reads_what_was_not_acknowledged),
    SOURCE_CASE(acknowledged_rows_do_not_come_again),
    SOURCE_CASE_OF(a_delivered_cursor_is_accepted_and_a_foreign_one_refused, can_accept),
    SOURCE_CASE(a_cursor_of_something_else_stops_the_start),
    SOURCE_CASE(positions_people_give_lead_to_their_events),
    SOURCE_CASE(start_from_counts_only_while_nothing_is_stored),
    SOURCE_CASE_OF(every_row_is_shown_from_the_last_n_on, has_a_past),
    SOURCE_CASE_OF(a_late_commit_is_shown, has_a_past),
    SOURCE_CASE_OF(a_table_without_xid_is_shown_by_seq, marks_without_xid),
    {{0}, NULL},
};
