/* What every source must keep: each registered one, in each of its modes, on a real database. A
 * source or a mode without a fixture fails here, so that none can be forgotten. */
#include "../unit/unit.h"

#include "plugin_conf.h"
#include "source_fixture.h"
#include "store_fixture.h"

#include "daemon/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- nothing lost, nothing uncommitted --- */

static void committed_rows_come_once_and_in_order(void **state)
{
    struct world *w = *state;
    world_emit_range(w, 1, 3);
    world_start(w, NULL);
    assert_comes(w, "1 2 3");
    world_emit_range(w, 4, 5);
    assert_comes(w, "4 5");
    assert_comes(w, "");
}

static void what_is_rolled_back_never_comes(void **state)
{
    struct world *w = *state;
    world_start(w, NULL);
    world_sql(w, 0, "begin");
    world_emit(w, 1, "k");
    assert_comes(w, "");
    world_sql(w, 0, "rollback");
    assert_comes(w, "");
    world_sql(w, 0, "begin");
    world_emit(w, 2, "k");
    world_sql(w, 0, "savepoint s");
    world_emit(w, 3, "k");
    world_sql(w, 0, "rollback to s");
    world_emit(w, 4, "k");
    world_sql(w, 0, "commit");
    assert_comes(w, "2 4");
}

/* A row that got its number early and is committed late, behind one that was delivered. Where only
 * one session can write at a time, the other waits. */
static void a_late_commit_is_not_passed_over(void **state)
{
    struct world *w = *state;
    world_start(w, NULL);
    world_sql(w, 0, "begin");
    world_emit(w, 1, "a");
    bool both = world_try_emit(w, 1, 2, "b");
    world_drain(w);
    assert_int_equal(w->got_count, both ? 1 : 0);
    world_go_on(w, w->got_count);
    assert_comes(w, "");
    world_sql(w, 0, "commit");
    if (both) {
        assert_comes(w, "1");
    } else {
        assert_true(world_try_emit(w, 1, 2, "b"));
        assert_comes(w, "1 2");
    }
}

/* Two writers, rollbacks, savepoints and restarts at random: in the end what came is what was
 * committed, once each and in each writer's order. */
struct writer {
    bool open;
    char key[4];
    int inserted[8];
    size_t count;
};

static void writer_step(struct world *w, unsigned s, struct writer *x, int *next, bool *committed)
{
    unsigned r = (unsigned)rand() % 8;
    if (!x->open) {
        world_sql(w, s, "begin");
        x->open = true;
        x->count = 0;
    } else if (r < 4 && x->count < 8) {
        if (world_try_emit(w, s, *next, x->key)) {
            x->inserted[x->count++] = (*next)++;
        }
    } else if (r == 4 && x->count > 0 && x->count < 8) {
        world_sql(w, s, "savepoint s");
        assert_true(world_try_emit(w, s, (*next)++, x->key));
        world_sql(w, s, "rollback to s");
    } else {
        world_sql(w, s, r == 7 ? "rollback" : "commit");
        for (size_t i = 0; r != 7 && i < x->count; i++) {
            committed[x->inserted[i]] = true;
        }
        x->open = false;
    }
}

static void count_came(struct world *w, int *came, int *last_of_key)
{
    for (size_t i = 0; i < w->got_count; i++) {
        int n = w->got[i].number, which = w->got[i].key[0] - 'a';
        came[n]++;
        if (n <= last_of_key[which]) {
            fail_msg("%d came behind %d of the same key", n, last_of_key[which]);
        }
        last_of_key[which] = n;
    }
}

static void interleaved_writers_lose_nothing(void **state)
{
    enum { STEPS = 1000 };
    struct world *w = *state;
    struct writer writers[2] = {{.key = "a"}, {.key = "b"}};
    static bool committed[STEPS + 2];
    static int came[STEPS + 2];
    int next = 1, last_of_key[2] = {0, 0};
    memset(committed, 0, sizeof committed);
    memset(came, 0, sizeof came);
    srand(20);
    world_start(w, NULL);
    for (int step = 0; step < STEPS; step++) {
        unsigned s = (unsigned)rand() % 2;
        writer_step(w, s, &writers[s], &next, committed);
        if (rand() % 4 == 0) {
            world_read(w, 1 + (size_t)rand() % 4, SIZE_MAX);
        }
        bool may_mark = !w->c->kind->one_writer || (!writers[0].open && !writers[1].open);
        if (rand() % 16 == 0 && w->got_count > 0 && may_mark) {
            size_t delivered = 1 + (size_t)rand() % w->got_count, all = w->got_count;
            w->got_count = delivered;
            count_came(w, came, last_of_key);
            w->got_count = all;
            world_go_on(w, delivered);
        }
    }
    world_sql(w, 0, writers[0].open ? "rollback" : "begin");
    world_sql(w, 1, writers[1].open ? "rollback" : "begin");
    world_drain(w);
    count_came(w, came, last_of_key);
    for (int n = 1; n < next; n++) {
        if (came[n] != committed[n]) {
            fail_msg("event %d: %s, came %d times", n, committed[n] ? "committed" : "rolled back",
                     came[n]);
        }
    }
}

/* --- going on --- */

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
    world_read(w, 4, SIZE_MAX);
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

/* Its rows may be gone or marked when the delivery is recovered: they are its own all the same. */
static void a_delivered_cursor_is_accepted_and_a_foreign_one_refused(void **state)
{
    struct world *w = *state;
    struct got last;
    if (!w->ops->accepts) {
        skip();
    }
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
    if (!w->ops->position) {
        skip();
    }
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

/* --- bounds --- */

static void a_read_keeps_its_bounds(void **state)
{
    struct world *w = *state;
    char pad[1001];
    memset(pad, 'x', 1000);
    pad[1000] = '\0';
    for (int n = 1; n <= 30; n++) {
        world_sql(w, 0,
                  "insert into outbox (id, aggregatetype, aggregateid, type, payload) values"
                  " ('00000000-0000-4000-8000-%012d', 'order', 'k', 'made', '{\"pad\": \"%s\"}')",
                  n, pad);
    }
    world_start(w, NULL);
    assert_true(world_read(w, 1, SIZE_MAX) == 1);
    assert_true(world_read(w, 4, SIZE_MAX) >= 1);
    assert_true(w->batch->count <= 4);
    while (w->got_count < 20) {
        assert_true(world_read(w, 1000, 5000) >= 1);
        assert_true(w->batch->bytes <= 5000);
    }
    while (w->got_count < 30) {
        assert_int_equal(world_read(w, 1000, 10), 1); /* one larger event is given alone */
    }
    for (int i = 0; i < 30; i++) {
        assert_int_equal(w->got[i].number, i + 1);
    }
}

static void an_event_too_large_is_poison_and_the_others_are_not(void **state)
{
    struct world *w = *state;
    CLEANUP(buf_release) struct buf pad = {0};
    w->env.max_event_bytes = 2000;
    for (int i = 0; i < 3000; i++) {
        buf_add_char(&pad, 'x');
    }
    world_emit(w, 1, "k");
    world_sql(
        w, 0,
        "insert into outbox (id, aggregatetype, aggregateid, type, payload) values"
        " ('00000000-0000-4000-8000-000000000002', 'order', 'k', 'made', '{\"pad\": \"%s\"}')",
        buf_str(&pad));
    world_emit(w, 3, "k");
    world_start(w, NULL);
    for (int n = 1; n <= 3; n++) {
        assert_int_equal(world_read(w, 1, SIZE_MAX), 1);
        const struct event *e = &w->batch->events[0];
        assert_int_equal(w->got[n - 1].number, n);
        assert_int_equal(e->poison != NULL, n == 2);
        assert_true(e->bytes < 3000);
    }
}

static void every_field_is_the_rows(void **state)
{
    struct world *w = *state;
    static const char *const further[] = {"region", "shard"};
    w->env.columns = further;
    w->env.columns_count = 2;
    world_sql(w, 0, "alter table outbox add column shard int");
    world_sql(w, 0, "alter table outbox add column region text");
    world_sql(w, 0,
              "insert into outbox (id, aggregatetype, aggregateid, type, payload, headers,"
              " created_at, region) values ('00000000-0000-4000-8000-000000000001', 'at', 'ai',"
              " 'ty', '[1]', '{\"h\": 1}', '2026-11-21T10:00:00.250Z', 'eu')");
    world_start(w, NULL);
    assert_int_equal(world_read(w, 10, SIZE_MAX), 1);
    const struct event *e = &w->batch->events[0];
    assert_true(slice_equal_str(e->id, "00000000-0000-4000-8000-000000000001"));
    assert_true(slice_equal_str(e->aggregatetype, "at") && slice_equal_str(e->aggregateid, "ai"));
    assert_true(slice_equal_str(e->type, "ty") && slice_equal_str(e->payload, "[1]"));
    assert_true(slice_equal_str(e->headers, "{\"h\": 1}"));
    assert_int_equal(e->created_at_us, INT64_C(1795255200250000));
    assert_true(slice_equal_str(e->columns[0], "eu") && slice_is_null(e->columns[1]));
    assert_true(e->payload_kind != PAYLOAD_BYTES);
    assert_null(e->poison);
    CLEANUP(buf_release) struct buf cursor = {0}, shown = {0};
    w->ops->cursor(w->source, w->batch, 0, &cursor);
    w->ops->describe(buf_slice(&cursor), &shown);
    assert_true(world_acks(w) || slice_equal(e->position, buf_slice(&shown)));
}

/* --- rest and truth --- */

static void at_rest_it_sleeps_and_a_commit_wakes_it(void **state)
{
    struct world *w = *state;
    world_start(w, NULL);
    assert_comes(w, "");
    int64_t until = clock_mono_us() + 400 * US_PER_MS;
    int rounds = 0;
    for (; clock_mono_us() < until; rounds++) {
        struct poll_set set;
        batch_reset(w->batch);
        assert_true(w->ops->read(w->source, w->batch, 10, SIZE_MAX, &w->err) >= 0);
        assert_int_equal(w->batch->count, 0);
        poll_set_clear(&set);
        poll_set_deadline(&set, until);
        w->ops->poll_fds(w->source, &set);
        poll_set_wait(&set);
    }
    assert_in_range(rounds, 5, 120); /* poll_interval is 20 ms, and an answer may come in pieces */
    int64_t committed = clock_mono_us();
    world_emit(w, 1, "k");
    while (w->got_count == 0) {
        world_read(w, 10, SIZE_MAX);
    }
    assert_true(clock_mono_us() - committed < US_PER_SECOND);
}

static bool idle(struct world *w)
{
    bool is = false;
    for (int empty = 0; empty < 2;) {
        empty = world_read(w, 1000, SIZE_MAX) ? 0 : empty + 1;
    }
    if (w->ops->idle && w->ops->idle(w->source, &is, &w->err)) {
        fail_msg("idle: %s", w->err.text);
    }
    return is || !w->ops->idle;
}

static void idle_and_lag_tell_the_truth(void **state)
{
    struct world *w = *state;
    struct source_lag lag = {0};
    world_start(w, NULL);
    assert_true(idle(w));
    world_emit_range(w, 1, 5);
    world_read(w, 1, SIZE_MAX);
    if (w->ops->lag) {
        w->ops->lag(w->source, &lag);
        assert_true(lag.oldest_us != TIME_NONE);
    }
    world_drain(w);
    if (w->ops->lag) {
        w->ops->lag(w->source, &lag);
        assert_int_equal(lag.pending_events, 0); /* what was given is counted by who has it */
    }
    world_ack(w, 0, 5);
    assert_true(idle(w));
    if (w->ops->lag) {
        w->ops->lag(w->source, &lag);
        assert_int_equal(lag.pending_events, 0);
        assert_int_equal(lag.oldest_us, TIME_NONE);
        assert_string_equal(lag.held_up, "");
    }
    world_sql(w, 0, "begin");
    world_emit(w, 6, "k");
    assert_true(idle(w)); /* all that is committed */
    world_sql(w, 0, "commit");
}

/* --- rows that are marked --- */

static void an_overtaken_relay_marks_nothing(void **state)
{
    struct world *w = *state;
    world_emit_range(w, 1, 2);
    world_start(w, NULL);
    if (!world_acks(w)) {
        skip();
    }
    world_drain(w);
    world_sql(w, 0, "update %s set epoch = 8", w->c->kind->positions);
    assert_int_equal(world_try_ack(w, 0, 2), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_FATAL);
    assert_int_equal(w->err.exit_code, EXIT_CODE_UNAVAILABLE);
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
    if (!w->ops->note_failure || strcmp(w->c->mode, "status") != 0) {
        skip();
    }
    world_drain(w);
    struct slice first = slice_from(w->got[0].row_key);
    int64_t due = clock_wall_us() + US_PER_SECOND;
    assert_int_equal(w->ops->note_failure(w->source, first, 1, "it's \"no\"", due, &w->err), 0);
    world_go_on(w, 0);
    world_drain(w);
    assert_int_equal(w->got_count, 1);
    assert_int_equal(w->got[0].number, 3);
    world_ack(w, 0, 1);
    assert_false(idle(w)); /* due later is not done */
    while (w->got_count < 3) {
        world_read(w, 10, SIZE_MAX);
        assert_true(clock_wall_us() < due + 5 * US_PER_SECOND);
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
    assert_true(idle(w)); /* a failed row is a dead letter, not pending */
}

/* --- trouble --- */

static void a_lost_connection_loses_no_event(void **state)
{
    struct world *w = *state;
    char cursor[512];
    if (!w->c->kind->cut) {
        skip();
    }
    world_emit_range(w, 1, 4);
    world_start(w, NULL);
    world_read(w, 2, SIZE_MAX);
    world_ack(w, 0, 2);
    snprintf(cursor, sizeof cursor, "%s", w->got[1].cursor);
    w->c->kind->cut(&w->outbox);
    int64_t until = clock_mono_us() + 10 * US_PER_SECOND;
    while (world_try_read(w, 10, SIZE_MAX) == RESULT_DONE) {
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
    world_read(w, 5, SIZE_MAX);
    key = slice_from(w->got[0].row_key);
    if (world_acks(w)) {
        assert_true(w->ops->ack(w->source, &key, 1, &w->err) >= 0);
    }
    batch_reset(w->batch);
    assert_true(w->ops->read(w->source, w->batch, 5, SIZE_MAX, &w->err) >= 0);
    int64_t before = clock_mono_us();
    w->ops->close(w->source);
    assert_true(clock_mono_us() - before < 2 * US_PER_SECOND);
    w->source = NULL;
    w->ops->close(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

static const struct CMUnitTest cases[] = {
    CASE(committed_rows_come_once_and_in_order),
    CASE(what_is_rolled_back_never_comes),
    CASE(a_late_commit_is_not_passed_over),
    CASE(interleaved_writers_lose_nothing),
    CASE(a_cursor_goes_on_right_behind_its_event),
    CASE(every_cursor_of_a_batch_is_its_events_own),
    CASE(the_cursor_of_where_it_stands_skips_nothing),
    CASE(started_again_it_reads_what_was_not_acknowledged),
    CASE(acknowledged_rows_do_not_come_again),
    CASE(a_delivered_cursor_is_accepted_and_a_foreign_one_refused),
    CASE(a_cursor_of_something_else_stops_the_start),
    CASE(positions_people_give_lead_to_their_events),
    CASE(start_from_counts_only_while_nothing_is_stored),
    CASE(a_read_keeps_its_bounds),
    CASE(an_event_too_large_is_poison_and_the_others_are_not),
    CASE(every_field_is_the_rows),
    CASE(at_rest_it_sleeps_and_a_commit_wakes_it),
    CASE(idle_and_lag_tell_the_truth),
    CASE(an_overtaken_relay_marks_nothing),
    CASE(a_row_that_waits_holds_back_its_key_only),
    CASE(a_lost_connection_loses_no_event),
    CASE(closed_in_the_middle_it_leaves_nothing_behind),
};

static const struct outbox_kind *kind_of(const struct source_ops *ops)
{
    static const struct outbox_kind *const kinds[] = {&outbox_kind_postgres, &outbox_kind_sqlite};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i]->source, ops->name) == 0) {
            return kinds[i];
        }
    }
    return NULL;
}

static int run(struct source_case *c)
{
    enum { N = sizeof cases / sizeof *cases };
    struct CMUnitTest tests[N];
    char name[80];
    memcpy(tests, cases, sizeof tests);
    for (size_t i = 0; i < N; i++) {
        tests[i].initial_state = c;
    }
    snprintf(name, sizeof name, "%s %s", c->ops->name, c->mode);
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const char *const one_mode[] = {"", NULL};
    char server[512];
    int failed = 0;
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    fixture_database_make(server, sizeof server);
    for (const struct source_ops *const *ops = registry_sources(); *ops; ops++) {
        const struct outbox_kind *kind = kind_of(*ops);
        if (!kind) {
            fprintf(stderr, "source %s has no fixture: add it to outbox.c\n", (*ops)->name);
            failed++;
            continue;
        }
        const char *const *modes = plugin_conf_choices((*ops)->keys, "mode");
        for (modes = modes ? modes : one_mode; *modes; modes++) {
            failed += run(&(struct source_case){*ops, kind, *modes, server});
        }
    }
    fixture_database_drop();
    return failed;
}
