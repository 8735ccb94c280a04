/*
 * What every store must keep, over each of them. COMMITRELAY_TEST_PG names a PostgreSQL server
 * where a role may make databases and roles; the test works in a database of its own. An argument
 * ("postgres" or "sqlite") chooses one store.
 */
#include "../unit/unit.h"

#include "store_fixture.h"

#include "daemon/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void nothing_is_stored_at_first(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    void *s = fixture_open(f);
    assert_done(f->ops->observe(s, &p, &f->err), &f->err);
    assert_int_equal(p.cursor.len, 0);
    assert_int_equal(p.delivered, 0);
    assert_int_equal(p.epoch, 0);
    assert_true(p.saved_at_us == TIME_NONE);
    assert_false(p.locked);
    int64_t letters = -1;
    assert_done(f->ops->dead_letter_count(s, &letters, &f->err), &f->err);
    assert_int_equal(letters, 0);
    fixture_start(f, s, &p);
    assert_int_equal(p.cursor.len, 0);
    assert_int_equal(p.epoch, 1);
    f->ops->close(s);
    buf_release(&p.cursor);
}

static void what_was_saved_is_there_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    CLEANUP(buf_release) struct buf cursor = {0};
    while (cursor.len < 100000) {
        buf_add_str(&cursor, "1:2:3,'\"\\ \xc3\xa9|");
    }
    int64_t before = clock_wall_us();
    void *s = fixture_open(f);
    fixture_start(f, s, &p);
    fixture_save(f, s, "first", 7);
    fixture_save(f, s, buf_str(&cursor), UINT64_C(1) << 62);
    assert_done(f->ops->report_state(s, "running", "it's fine", &f->err), &f->err);
    f->ops->close(s);

    s = fixture_open(f);
    assert_done(f->ops->observe(s, &p, &f->err), &f->err);
    assert_true(slice_equal(buf_slice(&p.cursor), buf_slice(&cursor)));
    assert_true(p.delivered == UINT64_C(1) << 62);
    assert_string_equal(p.state, "running");
    assert_string_equal(p.detail, "it's fine");
    assert_in_range(p.saved_at_us, before - US_PER_SECOND, clock_wall_us() + US_PER_SECOND);
    fixture_start(f, s, &p);
    assert_true(slice_equal(buf_slice(&p.cursor), buf_slice(&cursor)));
    assert_int_equal(p.epoch, 2);
    f->ops->close(s);
    buf_release(&p.cursor);
}

static void starting_again_keeps_the_lock_and_raises_the_epoch(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    void *s = fixture_open(f);
    for (int64_t epoch = 1; epoch <= 3; epoch++) {
        assert_done(f->ops->start(s, &p, &f->err),
                    &f->err); /* at once, although the old connection was just dropped */
        assert_int_equal(p.epoch, epoch);
    }
    fixture_save(f, s, "c", 1);
    f->ops->close(s);
    buf_release(&p.cursor);
}

static void only_one_relay_runs_a_pipeline(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0}, seen = {0};
    void *first = fixture_open(f), *second = fixture_open(f);
    fixture_start(f, first, &p);
    assert_int_equal(f->ops->start(second, &seen, &f->err), RESULT_AGAIN);
    assert_true(strlen(f->err.text) > 0);
    assert_non_null(strstr(f->err.text, f->pipeline));
    assert_done(f->ops->observe(second, &seen, &f->err), &f->err);
    assert_true(seen.locked);
    fixture_save(f, first, "mine", 1); /* the loser has changed nothing */
    f->ops->close(first);
    fixture_start(f, second, &seen);
    assert_string_equal(buf_str(&seen.cursor), "mine");
    assert_int_equal(seen.epoch, 2);
    f->ops->close(second);
    buf_release(&p.cursor);
    buf_release(&seen.cursor);
}

static void pipelines_do_not_mix(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    void *one = fixture_open(f);
    fixture_start(f, one, &p);
    fixture_save(f, one, "one", 1);
    char name[sizeof f->pipeline];
    memcpy(name, f->pipeline, sizeof name);
    f->pipeline[0] = 'o';
    void *other = fixture_open(f);
    fixture_start(f, other, &p);
    assert_int_equal(p.cursor.len, 0);
    int64_t id = 0, count = -1;
    struct store_control c;
    assert_done(f->ops->control_put(other, STORE_PAUSE, "", "", &id, &f->err), &f->err);
    assert_done(f->ops->control_take(one, &c, &f->err), &f->err);
    assert_int_equal(c.command, STORE_NO_COMMAND);
    struct store_dead_letter d = {.event_id = SLICE_LITERAL("e"), .reason = SLICE_LITERAL("r")};
    assert_done(f->ops->dead_letter_put(other, &d, NULL, &f->err), &f->err);
    assert_done(f->ops->dead_letter_count(one, &count, &f->err), &f->err);
    assert_int_equal(count, 0);
    memcpy(f->pipeline, name, sizeof name);
    f->ops->close(one);
    f->ops->close(other);
    buf_release(&p.cursor);
}

static void a_save_under_way_survives_other_questions(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    void *s = fixture_open(f);
    fixture_start(f, s, &p);
    assert_done(f->ops->saved(s, &f->err), &f->err); /* none was begun */
    assert_done(f->ops->save(s, SLICE_LITERAL("kept"), 3, &f->err), &f->err);
    struct store_control c;
    assert_done(f->ops->control_take(s, &c, &f->err), &f->err);
    assert_done(f->ops->report_state(s, "running", "", &f->err), &f->err);
    assert_done(f->ops->saved(s, &f->err), &f->err);
    fixture_save(f, s, "next", 4);
    assert_done(f->ops->observe(s, &p, &f->err), &f->err);
    assert_string_equal(buf_str(&p.cursor), "next");
    f->ops->close(s);
    buf_release(&p.cursor);
}

static void commands_are_taken_in_order_and_answered(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    struct store_control c;
    int64_t first = 0, second = 0;
    void *command = fixture_open(f), *daemon = fixture_open(f);
    assert_done(
        f->ops->control_put(command, STORE_SET_POSITION, "it's 12", "7 it's me", &first, &f->err),
        &f->err);
    assert_done(f->ops->control_put(command, STORE_PAUSE, "", "", &second, &f->err), &f->err);
    fixture_start(f, daemon, &p);
    assert_done(f->ops->control_take(daemon, &c, &f->err), &f->err);
    assert_int_equal(c.id, first);
    assert_int_equal(c.command, STORE_SET_POSITION);
    assert_string_equal(c.argument, "it's 12");
    assert_string_equal(c.who, "7 it's me");
    assert_done(f->ops->control_look(command, first, &c, &f->err), &f->err);
    assert_false(c.acknowledged);
    assert_done(f->ops->control_answer(daemon, first, "done: 12", &f->err), &f->err);
    assert_done(f->ops->control_look(command, first, &c, &f->err), &f->err);
    assert_true(c.acknowledged);
    assert_string_equal(c.answer, "done: 12");
    assert_done(f->ops->control_take(daemon, &c, &f->err), &f->err);
    assert_int_equal(c.id, second);
    assert_int_equal(c.command, STORE_PAUSE);
    assert_string_equal(c.who, "");
    assert_done(f->ops->control_answer(daemon, second, "", &f->err), &f->err);
    assert_done(f->ops->control_take(daemon, &c, &f->err), &f->err);
    assert_int_equal(c.command, STORE_NO_COMMAND);
    f->ops->close(command);
    f->ops->close(daemon);
    buf_release(&p.cursor);
}

static void paused_survives_a_restart(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    bool paused = true;
    void *s = fixture_open(f);
    fixture_start(f, s, &p);
    assert_done(f->ops->get_paused(s, &paused, &f->err), &f->err);
    assert_false(paused);
    assert_done(f->ops->set_paused(s, true, &f->err), &f->err);
    f->ops->close(s);
    s = fixture_open(f);
    fixture_start(f, s, &p);
    assert_done(f->ops->get_paused(s, &paused, &f->err), &f->err);
    assert_true(paused);
    assert_done(f->ops->set_paused(s, false, &f->err), &f->err);
    assert_done(f->ops->get_paused(s, &paused, &f->err), &f->err);
    assert_false(paused);
    f->ops->close(s);
    buf_release(&p.cursor);
}

struct seen {
    int64_t last_id, stop_at;
    size_t count;
    struct store_dead_letter expected;
};

static int compare_letter(void *ctx, const struct store_dead_letter *d)
{
    struct seen *seen = ctx;
    const struct store_dead_letter *e = &seen->expected;
    seen->count++;
    assert_true(slice_equal(d->event_id, e->event_id));
    assert_true(slice_equal(d->position, e->position));
    assert_true(slice_is_null(d->topic));
    assert_true(slice_equal(d->key, e->key) && !slice_is_null(d->key));
    assert_true(slice_equal(d->payload, e->payload));
    assert_true(slice_equal(d->headers, e->headers));
    assert_true(slice_equal(d->aggregatetype, e->aggregatetype));
    assert_true(slice_equal(d->aggregateid, e->aggregateid));
    assert_true(slice_equal(d->type, e->type));
    assert_true(slice_equal(d->created_at, e->created_at));
    assert_true(slice_equal(d->payload_kind, e->payload_kind));
    assert_true(slice_equal(d->reason, e->reason));
    assert_true(slice_equal(d->code, e->code));
    assert_int_equal(d->attempts, e->attempts);
    assert_true(d->first_failed_us == e->first_failed_us);
    assert_true(d->last_failed_us == e->last_failed_us);
    assert_string_equal(d->state, "dead");
    return 0;
}

static void the_same_event_is_one_dead_letter(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    int64_t count = 0;
    void *s = fixture_open(f);
    fixture_start(f, s, &p);
    struct store_dead_letter d = {.event_id = SLICE_LITERAL("e-1"),
                                  .position = SLICE_LITERAL("12"),
                                  .key = {"", 0},
                                  .payload = SLICE_LITERAL("\0\xff'\\x41\n"),
                                  .headers = SLICE_LITERAL("{\"a\":\"\xc3\xa9\"}"),
                                  .aggregatetype = SLICE_LITERAL("order"),
                                  .aggregateid = SLICE_LITERAL("7"),
                                  .type = SLICE_LITERAL("made"),
                                  .created_at = SLICE_LITERAL("2026-11-21 10:00:00+00"),
                                  .payload_kind = SLICE_LITERAL("bytes"),
                                  .reason = SLICE_LITERAL("too large"),
                                  .code = SLICE_LITERAL("MSG_SIZE"),
                                  .attempts = 1,
                                  .first_failed_us = INT64_C(1700000000123456),
                                  .last_failed_us = INT64_C(1700000000123457),
                                  .state = "dead"};
    struct seen seen = {.expected = d};
    assert_done(f->ops->dead_letter_put(s, &d, NULL, &f->err), &f->err);
    d.attempts = 3;
    d.first_failed_us += 5;
    d.last_failed_us += 5;
    d.reason = SLICE_LITERAL("still too large");
    d.payload = SLICE_LITERAL("mended meanwhile, and still wrong");
    d.payload_kind = SLICE_LITERAL("text");
    assert_done(f->ops->dead_letter_put(s, &d, NULL, &f->err), &f->err);
    assert_done(f->ops->dead_letter_count(s, &count, &f->err), &f->err);
    assert_int_equal(count, 1);
    d.first_failed_us = seen.expected.first_failed_us; /* the first failure stays the first */
    seen.expected = d;
    assert_done(
        f->ops->dead_letter_list(s, (struct store_letter_pick){0}, compare_letter, &seen, &f->err),
        &f->err);
    assert_int_equal(seen.count, 1);
    f->ops->close(s);
    buf_release(&p.cursor);
}

static int count_letter(void *ctx, const struct store_dead_letter *d)
{
    struct seen *seen = ctx;
    assert_true(d->id > seen->last_id);
    seen->last_id = d->id;
    seen->count++;
    return (int64_t)seen->count == seen->stop_at;
}

static void dead_letters_are_listed_in_order(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    void *s = fixture_open(f);
    fixture_start(f, s, &p);
    for (int i = 0; i < 50; i++) {
        char position[16];
        snprintf(position, sizeof position, "%d", i);
        struct store_dead_letter d = {.event_id = SLICE_LITERAL("same"),
                                      .position = slice_from(position),
                                      .reason = SLICE_LITERAL("bad \xff\xfe text"),
                                      .first_failed_us = TIME_NONE,
                                      .last_failed_us = TIME_NONE};
        assert_done(f->ops->dead_letter_put(s, &d, NULL, &f->err), &f->err);
    }
    struct seen all = {0}, one = {0}, some = {.stop_at = 20};
    assert_done(
        f->ops->dead_letter_list(s, (struct store_letter_pick){0}, count_letter, &all, &f->err),
        &f->err);
    assert_int_equal(all.count, 50);
    assert_done(
        f->ops->dead_letter_list(s, store_letter_number(all.last_id), count_letter, &one, &f->err),
        &f->err);
    assert_int_equal(one.count, 1);
    assert_int_equal(one.last_id, all.last_id);
    assert_int_equal(
        f->ops->dead_letter_list(s, (struct store_letter_pick){0}, count_letter, &some, &f->err),
        1);
    assert_int_equal(some.count, 20);
    f->ops->close(s);
    buf_release(&p.cursor);
}

/* One letter of this pipeline, put into a store that was started. Returns its number. */
static int64_t put_letter(struct fixture *f, void *s, const char *position, const char *code)
{
    struct seen seen = {0};
    struct store_dead_letter d = {.event_id = slice_from(position),
                                  .position = slice_from(position),
                                  .topic = SLICE_LITERAL("t"),
                                  .key = SLICE_LITERAL("k"),
                                  .payload = SLICE_LITERAL("{}"),
                                  .code = slice_from(code),
                                  .attempts = 1,
                                  .partition = 7,
                                  .first_failed_us = 1000,
                                  .last_failed_us = 1000};
    assert_done(f->ops->dead_letter_put(s, &d, NULL, &f->err), &f->err);
    assert_done(
        f->ops->dead_letter_list(s, (struct store_letter_pick){0}, count_letter, &seen, &f->err),
        &f->err);
    return seen.last_id;
}

/* What is stored of a letter, as far as it does not point anywhere. */
static int copy_letter(void *ctx, const struct store_dead_letter *d)
{
    struct store_dead_letter *to = ctx;
    *to = *d;
    to->reason = slice_equal_str(d->reason, "new") ? SLICE_LITERAL("new") : SLICE_NULL;
    bool edited = d->edit.fields == (STORE_LETTER_KEY | STORE_LETTER_PAYLOAD) &&
                  slice_is_null(d->edit.key) && slice_equal_str(d->edit.payload, "\xff new") &&
                  slice_equal_str(d->payload, "{}");
    to->edit.fields = edited ? d->edit.fields : 0;
    return RESULT_DONE;
}

static struct store_dead_letter look_at(struct fixture *f, void *s, int64_t id)
{
    struct store_dead_letter d = {0};
    assert_done(f->ops->dead_letter_list(s, store_letter_number(id), copy_letter, &d, &f->err),
                &f->err);
    return d;
}

/* Counts, and sees that the payloads are left out and nothing else. */
static int count_bare(void *ctx, const struct store_dead_letter *d)
{
    assert_true(slice_is_null(d->payload) && slice_is_null(d->edit.payload));
    assert_true(slice_equal_str(d->key, "k") && d->partition == 7);
    return count_letter(ctx, d);
}

static struct seen list(struct fixture *f, void *s, struct store_letter_pick which)
{
    struct seen seen = {0};
    assert_done(f->ops->dead_letter_list(s, which, count_bare, &seen, &f->err), &f->err);
    return seen;
}

static void letters_are_picked(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    struct store_letter_edit edit = {.fields = STORE_LETTER_PAYLOAD,
                                     .payload = SLICE_LITERAL("new")};
    int64_t ids[3];
    bool done;
    void *s = fixture_open(f);
    fixture_start(f, s, &p);
    for (int i = 0; i < 3; i++) {
        ids[i] = put_letter(f, s, (const char *[]){"1", "2", "3"}[i], "poison");
    }
    assert_done(f->ops->dead_letter_edit(s, ids[1], 0, &edit, &done, &f->err), &f->err);
    assert_done(f->ops->dead_letter_close(s, ids[2], STORE_LETTER_DROPPED, -1, 5, &done, &f->err),
                &f->err);
    assert_int_equal(list(f, s, (struct store_letter_pick){.bare = true}).count, 3);
    struct store_letter_pick open = {.bare = true, .open = true};
    struct seen seen = list(f, s, open);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.last_id, ids[1]);
    open.after = ids[0];
    assert_int_equal(list(f, s, open).count, 1);
    open.after = ids[1];
    assert_int_equal(list(f, s, open).count, 0);
    seen = list(f, s, (struct store_letter_pick){.bare = true, .until = ids[1]});
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.last_id, ids[1]);
    assert_int_equal(list(f, s, store_letter_number(0)).count, 0);
    f->ops->close(s);
    buf_release(&p.cursor);
}

static int64_t count_open(struct fixture *f, void *s)
{
    int64_t count = -1;
    assert_done(f->ops->dead_letter_count(s, &count, &f->err), &f->err);
    return count;
}

static void a_dead_letter_ends_once(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    void *s = fixture_open(f);
    bool done = false;
    fixture_start(f, s, &p);
    int64_t id = put_letter(f, s, "1", "poison");
    assert_true(look_at(f, s, id).closed_us == TIME_NONE);
    assert_int_equal(look_at(f, s, id).partition, 7);
    assert_done(f->ops->dead_letter_failed(s, id, SLICE_LITERAL("new"), 5000, &done, &f->err),
                &f->err);
    assert_true(done);
    struct store_dead_letter d = look_at(f, s, id);
    assert_true(d.attempts == 2 && d.last_failed_us == 5000 && d.first_failed_us == 1000);
    assert_true(slice_equal_str(d.reason, "new"));
    assert_done(f->ops->dead_letter_close(s, id, STORE_LETTER_RETRIED, -1, 6000, &done, &f->err),
                &f->err);
    assert_true(done);
    d = look_at(f, s, id);
    assert_string_equal(d.state, STORE_LETTER_RETRIED);
    assert_true(d.closed_us == 6000);
    assert_int_equal(count_open(f, s), 0);
    assert_done(f->ops->dead_letter_close(s, id, STORE_LETTER_DROPPED, -1, 7000, &done, &f->err),
                &f->err);
    assert_false(done);
    assert_done(f->ops->dead_letter_failed(s, id, SLICE_LITERAL("x"), 7000, &done, &f->err),
                &f->err);
    assert_false(done);
    assert_string_equal(look_at(f, s, id).state, STORE_LETTER_RETRIED);
    assert_int_equal(put_letter(f, s, "1", "poison"), id); /* it has failed again */
    d = look_at(f, s, id);
    assert_true(store_letter_is_open(&d) && d.closed_us == TIME_NONE);
    f->ops->close(s);
    buf_release(&p.cursor);
}

static void an_edit_stands_beside_the_original(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    struct store_letter_edit edit = {.fields = STORE_LETTER_KEY | STORE_LETTER_PAYLOAD,
                                     .payload = SLICE_LITERAL("\xff new")};
    void *s = fixture_open(f);
    bool done = false;
    fixture_start(f, s, &p);
    int64_t id = put_letter(f, s, "1", "poison");
    assert_done(f->ops->dead_letter_edit(s, id, 0, &edit, &done, &f->err), &f->err);
    assert_true(done);
    struct store_dead_letter d = look_at(f, s, id);
    assert_true(d.edits == 1 && d.edit.fields == edit.fields);
    assert_done(f->ops->dead_letter_edit(s, id, 0, &edit, &done, &f->err), &f->err);
    assert_false(done); /* somebody else's edit is not overwritten unseen */
    assert_done(f->ops->dead_letter_close(s, id, STORE_LETTER_RETRIED, 0, 6000, &done, &f->err),
                &f->err);
    assert_false(done); /* what was sent is not what is stored now */
    assert_int_equal(count_open(f, s), 1);
    put_letter(f, s, "1", "poison");
    assert_int_equal(look_at(f, s, id).edit.fields, edit.fields); /* it outlives another failure */
    assert_done(f->ops->dead_letter_close(s, id, STORE_LETTER_RETRIED, 1, 6000, &done, &f->err),
                &f->err);
    assert_true(done);
    assert_done(f->ops->dead_letter_edit(s, id, 1, &edit, &done, &f->err), &f->err);
    assert_false(done);
    f->ops->close(s);
    buf_release(&p.cursor);
}

static int count_removed(void *ctx, struct slice event_id, int64_t edits)
{
    struct seen *seen = ctx;
    assert_true(event_id.len > 0 && edits == 0);
    seen->count++;
    return 0;
}

/* The mark of a prune only grows, counts for every pipeline of the table however it spells it, and
 * for no other table; and it stays when the pipeline is forgotten. */
static void what_a_prune_may_have_removed_is_noted(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    const char *again =
        strcmp(f->ops->name, "sqlite") ? "public.outbox_of_prune" : "OUTBOX_of_prune";
    int64_t us = 0, first;
    void *s = fixture_open(f);
    fixture_start(f, s, &p);
    assert_done(f->ops->pruned(s, "outbox_of_prune", &us, &f->err), &f->err);
    assert_true(us == TIME_NONE);
    assert_done(f->ops->note_pruned(s, "outbox_of_prune", 3600 * US_PER_SECOND, &f->err), &f->err);
    assert_done(f->ops->pruned(s, "outbox_of_prune", &first, &f->err), &f->err);
    int64_t age_us = clock_wall_us() - first; /* an hour, less the minute that the mark is ahead */
    assert_true(age_us > 3500 * US_PER_SECOND && age_us < 3600 * US_PER_SECOND);
    assert_done(f->ops->note_pruned(s, again, 7200 * US_PER_SECOND, &f->err), &f->err);
    assert_done(f->ops->pruned(s, again, &us, &f->err), &f->err);
    assert_true(us == first);
    assert_done(f->ops->pruned(s, "outbox_of_prune_2", &us, &f->err), &f->err);
    assert_true(us == TIME_NONE);
    f->ops->close(s);
    s = fixture_open(f);
    int rc = RESULT_AGAIN; /* a lock that was just given up may take a moment to be free */
    for (int i = 0; rc == RESULT_AGAIN && i < 100; i++) {
        rc = f->ops->forget(s, &f->err);
    }
    assert_done(rc, &f->err);
    assert_done(f->ops->pruned(s, "outbox_of_prune", &us, &f->err), &f->err);
    assert_true(us == first);
    f->ops->close(s);
    buf_release(&p.cursor);
}

static void only_closed_letters_are_removed(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    void *s = fixture_open(f);
    int64_t ids[6], removed = -1;
    fixture_start(f, s, &p);
    for (int i = 0; i < 6; i++) {
        char position[2] = {(char)('0' + i), '\0'};
        ids[i] = put_letter(f, s, position, i == 4 ? "row_kept" : "poison");
        bool done = false;
        if (i > 0) {
            assert_done(f->ops->dead_letter_close(
                            s, ids[i], i % 2 ? STORE_LETTER_RETRIED : STORE_LETTER_DROPPED, -1,
                            1000 * i, &done, &f->err),
                        &f->err);
        }
    }
    assert_done(f->ops->dead_letter_expire(s, 4500, 2, &removed, &f->err), &f->err);
    assert_int_equal(removed, 2);
    assert_done(f->ops->dead_letter_expire(s, 4500, 2, &removed, &f->err), &f->err);
    assert_int_equal(removed, 1);
    assert_done(f->ops->dead_letter_expire(s, 4500, 2, &removed, &f->err), &f->err);
    assert_int_equal(removed, 0);
    struct seen left = {0};
    assert_done(
        f->ops->dead_letter_list(s, (struct store_letter_pick){0}, count_letter, &left, &f->err),
        &f->err);
    assert_int_equal(left.count, 3); /* the open one, the row's, the young one */
    /* Of the one that was dropped its id is left, and nothing else. */
    struct seen removed_ones = {0};
    assert_done(f->ops->removed_letters(s, count_removed, &removed_ones, &f->err), &f->err);
    assert_int_equal(removed_ones.count, 1);
    /* The event comes again, and is a dead letter again. */
    (void)put_letter(f, s, "2", "poison");
    left = removed_ones = (struct seen){0};
    assert_done(
        f->ops->dead_letter_list(s, store_letter_number(ids[2]), count_letter, &left, &f->err),
        &f->err);
    assert_int_equal(left.count, 1);
    assert_done(f->ops->removed_letters(s, count_removed, &removed_ones, &f->err), &f->err);
    assert_int_equal(removed_ones.count, 0);
    f->ops->close(s);
    buf_release(&p.cursor);
}

/* --- replays --- */

struct replays {
    size_t count;
    struct store_replay last;
    char asked[64];
};

static int count_replay(void *ctx, const struct store_replay *r)
{
    struct replays *seen = ctx;
    seen->count++;
    seen->last = *r;
    snprintf(seen->asked, sizeof seen->asked, "%.*s", SLICE_FMT(r->asked));
    return 0;
}

static struct replays list_replays(struct fixture *f, void *s)
{
    struct replays seen = {0};
    assert_done(f->ops->replay_list(s, count_replay, &seen, &f->err), &f->err);
    return seen;
}

static void a_replay_is_kept_beside_the_position(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0}, live = {0};
    void *relay = fixture_open(f), *s = fixture_open(f);
    fixture_start(f, relay, &live);
    fixture_save(f, relay, "live", 9);
    assert_int_equal(list_replays(f, s).count, 0);
    assert_done(f->ops->replay_add(s, "r1", SLICE_LITERAL("what is asked"), &f->err), &f->err);
    assert_int_equal(f->ops->replay_add(s, "r1", SLICE_LITERAL("again"), &f->err), -1);
    assert_int_equal(f->err.exit_code, EXIT_CODE_CONFIG);
    assert_done(f->ops->replay_start(s, "r1", &p, &f->err), &f->err); /* beside the lock */
    assert_int_equal(p.cursor.len, 0);
    assert_int_equal(p.delivered, 0);
    fixture_save(f, s, "17", 5);
    fixture_save(f, relay, "live on", 10);
    f->ops->close(s);

    s = fixture_open(f);
    struct replays seen = list_replays(f, s);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.last.id, "r1");
    assert_string_equal(seen.asked, "what is asked");
    assert_int_equal(seen.last.delivered, 5);
    int64_t before = p.epoch;
    assert_done(f->ops->replay_start(s, "r1", &p, &f->err), &f->err);
    assert_true(slice_equal_str(buf_slice(&p.cursor), "17"));
    assert_int_equal(p.delivered, 5);
    assert_int_equal(p.epoch, before + 1);
    assert_done(f->ops->replay_end(s, "r1", &f->err), &f->err);
    assert_int_equal(list_replays(f, s).count, 0);
    assert_int_equal(f->ops->replay_start(s, "r1", &p, &f->err), -1);
    assert_done(f->ops->observe(relay, &live, &f->err), &f->err);
    assert_true(slice_equal_str(buf_slice(&live.cursor), "live on"));
    assert_int_equal(live.delivered, 10);
    f->ops->close(s);
    f->ops->close(relay);
    buf_release(&p.cursor);
    buf_release(&live.cursor);
}

static void a_replay_opens_no_letter_again(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    struct store_dead_letter d = {.event_id = SLICE_LITERAL("e-1"),
                                  .position = SLICE_LITERAL("12")};
    int64_t id = 0, count = 0;
    bool done = false;
    void *relay = fixture_open(f), *replay = fixture_open(f);
    fixture_start(f, relay, &p);
    buf_release(&p.cursor);
    assert_done(f->ops->replay_add(replay, "r1", SLICE_LITERAL("{}"), &f->err), &f->err);
    assert_done(f->ops->replay_start(replay, "r1", &p, &f->err), &f->err);
    assert_done(f->ops->dead_letter_put(replay, &d, &id, &f->err), &f->err);
    assert_done(f->ops->dead_letter_put(replay, &d, &id, &f->err), &f->err); /* open: once more */
    assert_done(f->ops->dead_letter_close(relay, id, STORE_LETTER_DROPPED, -1, clock_wall_us(),
                                          &done, &f->err),
                &f->err);
    assert_true(done);
    assert_done(f->ops->dead_letter_put(replay, &d, NULL, &f->err), &f->err);
    assert_done(f->ops->dead_letter_count(relay, &count, &f->err), &f->err);
    assert_int_equal(count, 0);
    assert_done(f->ops->dead_letter_put(relay, &d, NULL, &f->err), &f->err);
    assert_done(f->ops->dead_letter_count(relay, &count, &f->err), &f->err);
    assert_int_equal(count, 1); /* the live flow has met it again */
    f->ops->close(replay);
    f->ops->close(relay);
    buf_release(&p.cursor);
}

static void only_the_last_that_started_a_replay_saves_it(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    void *first = fixture_open(f), *second = fixture_open(f);
    assert_done(f->ops->replay_add(first, "r1", SLICE_LITERAL("x"), &f->err), &f->err);
    assert_done(f->ops->replay_start(first, "r1", &p, &f->err), &f->err);
    fixture_save(f, first, "1", 1);
    assert_done(f->ops->replay_start(second, "r1", &p, &f->err), &f->err);
    assert_true(slice_equal_str(buf_slice(&p.cursor), "1"));
    int rc = f->ops->save(first, SLICE_LITERAL("2"), 2, &f->err);
    assert_int_equal(rc ? rc : fixture_saved(f, first), -1);
    assert_int_equal(f->err.class, ERROR_FATAL);
    assert_int_equal(f->err.exit_code, EXIT_CODE_GAVE_UP);
    fixture_save(f, second, "3", 3);
    f->ops->close(first);
    f->ops->close(second);
    buf_release(&p.cursor);
}

static int run(const struct store_ops *ops, const char *url)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(nothing_is_stored_at_first),
        STORE_TEST(what_was_saved_is_there_after_a_restart),
        STORE_TEST(starting_again_keeps_the_lock_and_raises_the_epoch),
        STORE_TEST(only_one_relay_runs_a_pipeline),
        STORE_TEST(pipelines_do_not_mix),
        STORE_TEST(a_save_under_way_survives_other_questions),
        STORE_TEST(commands_are_taken_in_order_and_answered),
        STORE_TEST(paused_survives_a_restart),
        STORE_TEST(the_same_event_is_one_dead_letter),
        STORE_TEST(dead_letters_are_listed_in_order),
        STORE_TEST(a_dead_letter_ends_once),
        STORE_TEST(letters_are_picked),
        STORE_TEST(an_edit_stands_beside_the_original),
        STORE_TEST(only_closed_letters_are_removed),
        STORE_TEST(what_a_prune_may_have_removed_is_noted),
        STORE_TEST(a_replay_is_kept_beside_the_position),
        STORE_TEST(a_replay_opens_no_letter_again),
        STORE_TEST(only_the_last_that_started_a_replay_saves_it),
    };
    fixture_use(ops, url);
    int failed = cmocka_run_group_tests_name(ops->name, tests, NULL, NULL);
    return failed + store_history_tests(ops, url) + store_waiting_tests(ops, url) +
           store_shards_tests(ops, url);
}

static int try_postgres(const struct store_ops *ops)
{
    char url[512];
    fixture_database_make(url, sizeof url);
    int failed = run(ops, url) + store_postgres_tests(ops, url);
    fixture_database_drop();
    return failed;
}

static int try_sqlite(const struct store_ops *ops)
{
    char dir[] = "/tmp/commitrelay-store-XXXXXX", url[64], command[64];
    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    snprintf(url, sizeof url, "sqlite:%s/store.db", dir);
    FILE *empty =
        fopen(url + strlen("sqlite:"), "w"); /* the store lives in a database that is there */
    if (!empty || fclose(empty) != 0) {
        perror(url);
        return 1;
    }
    int failed = run(ops, url);
    snprintf(command, sizeof command, "rm -r %s", dir);
    return failed + (system(command) != 0);
}

static const struct {
    const char *store; /* its name in the registry */
    int (*try)(const struct store_ops *ops);
} kinds[] = {{"postgres", try_postgres}, {"sqlite", try_sqlite}};

/* A store that nobody tries fails here, so that none can be forgotten. */
static int try(const struct store_ops *ops)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].store, ops->name) == 0) {
            return kinds[i].try(ops);
        }
    }
    fprintf(stderr, "store %s has no fixture: add it to test_store.c\n", ops->name);
    return 1;
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "";
    int failed = 0;
    for (const struct store_ops *const *ops = registry_stores(); *ops; ops++) {
        if (!only[0] || strcmp(only, (*ops)->name) == 0) {
            failed += try(*ops);
        }
    }
    return failed;
}
