/* The store in SQLite: durable, fenced, one relay at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "contract/store.h"
#include "db/sqlite.h"

extern const struct store_ops store_sqlite;
static const struct store_ops *const ops = &store_sqlite;

struct world {
    char dir[64], path[128], url[140];
    struct sqlite *app;
    struct store_env env;
    void *store;
    struct store_position at;
    struct error err;
};

static void sql(struct world *w, const char *text)
{
    if (sqlite_exec(w->app, text, &w->err) != RESULT_DONE) {
        fail_msg("%s: %s", text, w->err.text);
    }
}

static int64_t number(struct world *w, const char *text)
{
    int64_t n = -1;
    if (sqlite_query_int(w->app, text, -1, &n, &w->err) != RESULT_DONE) {
        fail_msg("%s: %s", text, w->err.text);
    }
    return n;
}

static void open_app(struct world *w)
{
    struct sqlite_options opt = {
        .path = w->path, .create = true, .patience_us = US_PER_SECOND, .stop_fd = -1};
    assert_int_equal(sqlite_open(&opt, &w->app, &w->err), RESULT_DONE);
    sql(w, "PRAGMA journal_mode = WAL");
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/cr-store-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/shop.db", w->dir);
    snprintf(w->url, sizeof w->url, "sqlite:%s", w->path);
    open_app(w);
    w->env = (struct store_env){.url = w->url,
                                .pipeline = "p",
                                .part = "",
                                .connect_timeout_us = 60 * US_PER_SECOND,
                                .read_timeout_us = 60 * US_PER_SECOND,
                                .stop_fd = -1};
    assert_int_equal(ops->open(&w->env, &w->store, &w->err), RESULT_DONE);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    char command[128];
    ops->close(w->store);
    sqlite_close(w->app);
    buf_release(&w->at.cursor);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static void start(struct world *w)
{
    if (ops->start(w->store, &w->at, &w->err) != RESULT_DONE) {
        fail_msg("start: %s", w->err.text);
    }
}

static void save(struct world *w, const char *cursor, uint64_t delivered)
{
    assert_int_equal(ops->save(w->store, slice_from(cursor), delivered, &w->err), RESULT_DONE);
    assert_int_equal(ops->saved(w->store, &w->err), RESULT_DONE);
}

static void keeps_the_position(void **state)
{
    struct world *w = *state;
    start(w);
    assert_int_equal(w->at.cursor.len, 0);
    assert_int_equal(w->at.epoch, 1);
    assert_true(w->at.saved_at_us == TIME_NONE);
    save(w, "s1 5 x", 42);
    assert_int_equal(ops->report_state(w->store, "running", "fine", &w->err), RESULT_DONE);
    start(w);
    assert_string_equal(buf_str(&w->at.cursor), "s1 5 x");
    assert_int_equal(w->at.delivered, 42);
    assert_int_equal(w->at.epoch, 2);
    assert_string_equal(w->at.state, "running");
    assert_string_equal(w->at.detail, "fine");
    assert_true(clock_wall_us() - w->at.saved_at_us < 60 * US_PER_SECOND);
}

static void makes_no_file_unless_told(void **state)
{
    struct world *w = *state;
    void *other;
    char url[160];
    snprintf(url, sizeof url, "sqlite:%s/new.db", w->dir);
    struct store_env env = w->env;
    env.url = url;
    assert_int_equal(ops->open(&env, &other, &w->err), RESULT_DONE);
    assert_int_equal(ops->start(other, &w->at, &w->err), RESULT_ERROR);
    assert_int_equal(w->err.exit_code, EXIT_CODE_CONFIG);
    assert_non_null(strstr(w->err.text, "commitrelay init"));
    env.create = true;
    assert_int_equal(ops->start(other, &w->at, &w->err), RESULT_DONE);
    ops->close(other);
}

static void one_relay_at_a_time(void **state)
{
    struct world *w = *state;
    void *second;
    char pid[32];
    start(w);
    assert_int_equal(ops->open(&w->env, &second, &w->err), RESULT_DONE);
    assert_int_equal(ops->start(second, &w->at, &w->err), RESULT_AGAIN);
    snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    assert_non_null(strstr(w->err.text, pid));
    assert_int_equal(number(w, "SELECT epoch FROM commitrelay_positions"),
                     1); /* the loser changes nothing */
    assert_int_equal(ops->observe(second, &w->at, &w->err), RESULT_DONE);
    assert_true(w->at.locked);
    struct store_env other = w->env; /* another pipeline is not in the way */
    other.pipeline = "q";
    void *third;
    assert_int_equal(ops->open(&other, &third, &w->err), RESULT_DONE);
    assert_int_equal(ops->start(third, &w->at, &w->err), RESULT_DONE);
    ops->close(third);
    ops->close(w->store);
    w->store = second;
    assert_int_equal(ops->observe(second, &w->at, &w->err), RESULT_DONE);
    assert_false(w->at.locked);
    start(w);
    assert_int_equal(w->at.epoch, 2);
}

static void an_overtaken_relay_saves_nothing(void **state)
{
    struct world *w = *state;
    start(w);
    save(w, "mine", 1);
    sql(w, "UPDATE commitrelay_positions SET epoch = 2, cursor = 'theirs'");
    assert_int_equal(ops->save(w->store, slice_from("late"), 2, &w->err), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_FATAL);
    assert_int_equal(w->err.exit_code, EXIT_CODE_UNAVAILABLE);
    assert_int_equal(
        number(w, "SELECT count(*) FROM commitrelay_positions WHERE cursor = 'theirs'"), 1);
}

/* As the pipeline: waits by what it is told until the save is over. */
static int wait_saved(struct world *w)
{
    int rc;
    while ((rc = ops->saved(w->store, &w->err)) == RESULT_AGAIN) {
        struct poll_set set;
        poll_set_clear(&set);
        ops->poll_fds(w->store, &set);
        poll_set_wait(&set);
    }
    return rc;
}

static void a_lock_delays_a_save(void **state)
{
    struct world *w = *state;
    start(w);
    sql(w, "BEGIN IMMEDIATE");
    assert_int_equal(ops->save(w->store, slice_from("c"), 1, &w->err), RESULT_DONE);
    assert_int_equal(ops->saved(w->store, &w->err), RESULT_AGAIN);
    struct poll_set set;
    poll_set_clear(&set);
    ops->poll_fds(w->store, &set);
    assert_true(set.deadline_us < clock_mono_us() + US_PER_SECOND);
    sql(w, "COMMIT");
    assert_int_equal(wait_saved(w), RESULT_DONE);
    assert_int_equal(number(w, "SELECT delivered FROM commitrelay_positions"), 1);
}

static void a_locked_file_asks_for_the_state_again(void **state)
{
    struct world *w = *state;
    start(w);
    sql(w, "BEGIN IMMEDIATE");
    assert_int_equal(ops->report_state(w->store, "blocked", "", &w->err), RESULT_AGAIN);
    sql(w, "COMMIT");
    assert_int_equal(ops->report_state(w->store, "waiting", "why", &w->err), RESULT_DONE);
    assert_int_equal(number(w, "SELECT count(*) FROM commitrelay_positions WHERE state = 'waiting' "
                               "AND detail = 'why'"),
                     1);
}

static void a_lock_held_too_long_is_a_failure(void **state)
{
    struct world *w = *state;
    start(w);
    w->env.read_timeout_us = 1;
    sql(w, "BEGIN IMMEDIATE");
    if (ops->save(w->store, slice_from("c"), 1, &w->err) == RESULT_DONE) {
        assert_int_equal(wait_saved(w), RESULT_ERROR);
    }
    assert_int_equal(w->err.class, ERROR_RETRY);
    sql(w, "COMMIT");
}

static void a_replaced_file_is_not_written(void **state)
{
    struct world *w = *state;
    struct store_control control;
    char command[512];
    start(w);
    save(w, "s1 5 x", 1);
    sqlite_close(w->app);
    snprintf(command, sizeof command, "cd %s && mkdir old && mv shop.db shop.db-* old/", w->dir);
    assert_int_equal(system(command), 0);
    open_app(w);
    assert_int_equal(ops->control_take(w->store, &control, &w->err), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_RETRY);
    assert_int_equal(ops->save(w->store, slice_from("s1 6 x"), 2, &w->err), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_RETRY);
    assert_int_equal(ops->start(w->store, &w->at, &w->err), RESULT_ERROR);
    assert_int_equal(w->err.exit_code, EXIT_CODE_UNAVAILABLE);
    assert_int_equal(number(w, "SELECT count(*) FROM sqlite_master"), 0); /* nothing made in it */
}

static void commands_are_taken_in_order(void **state)
{
    struct world *w = *state;
    int64_t first, second;
    struct store_control c;
    assert_int_equal(ops->control_put(w->store, STORE_SET_POSITION, "now", "7", &first, &w->err),
                     RESULT_DONE);
    assert_int_equal(ops->control_put(w->store, STORE_PAUSE, "", "", &second, &w->err),
                     RESULT_DONE);
    assert_int_equal(ops->control_take(w->store, &c, &w->err), RESULT_DONE);
    assert_true(c.id == first && c.command == STORE_SET_POSITION);
    assert_string_equal(c.argument, "now");
    assert_int_equal(ops->control_answer(w->store, first, "done", &w->err), RESULT_DONE);
    assert_int_equal(ops->control_look(w->store, first, &c, &w->err), RESULT_DONE);
    assert_true(c.acknowledged);
    assert_string_equal(c.answer, "done");
    assert_int_equal(ops->control_take(w->store, &c, &w->err), RESULT_DONE);
    assert_true(c.id == second && c.command == STORE_PAUSE);
    assert_int_equal(ops->control_answer(w->store, second, "paused", &w->err), RESULT_DONE);
    assert_int_equal(ops->control_take(w->store, &c, &w->err), RESULT_DONE);
    assert_int_equal(c.command, STORE_NO_COMMAND);
}

static void paused_survives(void **state)
{
    struct world *w = *state;
    bool paused = true;
    assert_int_equal(ops->get_paused(w->store, &paused, &w->err), RESULT_DONE); /* no tables yet */
    assert_false(paused);
    assert_int_equal(ops->set_paused(w->store, true, &w->err), RESULT_DONE);
    start(w);
    assert_int_equal(w->at.epoch, 1);
    assert_int_equal(ops->get_paused(w->store, &paused, &w->err), RESULT_DONE);
    assert_true(paused);
}

static int check_letter(void *ctx, const struct store_dead_letter *d)
{
    int *seen = ctx;
    ++*seen;
    assert_true(slice_equal(d->payload, (struct slice){"\0\xff", 2}));
    assert_true(slice_is_null(d->key) && slice_equal_str(d->reason, "why 2"));
    assert_int_equal(d->attempts, 4);
    assert_int_equal(d->first_failed_us, 1000000);
    assert_string_equal(d->state, "dead");
    return RESULT_DONE;
}

static void a_dead_letter_is_kept_once(void **state)
{
    struct world *w = *state;
    int64_t count = -1;
    int seen = 0;
    assert_int_equal(ops->dead_letter_count(w->store, &count, &w->err), RESULT_DONE);
    assert_int_equal(count, 0);
    start(w);
    struct store_dead_letter d = {.event_id = slice_from("e"),
                                  .position = slice_from("9"),
                                  .payload = {"\0\xff", 2},
                                  .reason = slice_from("why"),
                                  .attempts = 3,
                                  .first_failed_us = 1000000,
                                  .last_failed_us = TIME_NONE};
    assert_int_equal(ops->dead_letter_put(w->store, &d, NULL, &w->err), RESULT_DONE);
    d.reason = slice_from("why 2");
    d.attempts = 4;
    d.first_failed_us = 2000000;
    assert_int_equal(ops->dead_letter_put(w->store, &d, NULL, &w->err), RESULT_DONE);
    assert_int_equal(ops->dead_letter_count(w->store, &count, &w->err), RESULT_DONE);
    assert_int_equal(count, 1);
    assert_int_equal(ops->dead_letter_list(w->store, (struct store_letter_pick){0}, check_letter,
                                           &seen, &w->err),
                     RESULT_DONE);
    assert_int_equal(
        ops->dead_letter_list(w->store, store_letter_number(77), check_letter, &seen, &w->err),
        RESULT_DONE);
    assert_int_equal(seen, 1);
}

struct other {
    void *store;
    size_t seen;
};

static int write_meanwhile(void *ctx, const struct store_dead_letter *d)
{
    struct other *other = ctx;
    struct error err = {0};
    (void)d;
    if (ops->set_paused(other->store, other->seen++ % 2 == 0, &err)) {
        fail_msg("the database is locked: %s", err.text);
    }
    return RESULT_DONE;
}

/* Whoever reads the list may be slow: a pager, a pipe. */
static void a_list_keeps_nobody_from_writing(void **state)
{
    struct world *w = *state;
    struct other other = {0};
    char position[16];
    ops->close(w->store);
    sql(w, "PRAGMA journal_mode = DELETE"); /* who reads keeps others from writing */
    assert_int_equal(ops->open(&w->env, &w->store, &w->err), RESULT_DONE);
    start(w);
    for (int i = 0; i < 20; i++) {
        snprintf(position, sizeof position, "%d", i);
        struct store_dead_letter d = {.event_id = slice_from("e"),
                                      .position = slice_from(position),
                                      .first_failed_us = TIME_NONE,
                                      .last_failed_us = TIME_NONE};
        assert_int_equal(ops->dead_letter_put(w->store, &d, NULL, &w->err), RESULT_DONE);
    }
    assert_int_equal(ops->open(&w->env, &other.store, &w->err), RESULT_DONE);
    assert_int_equal(ops->dead_letter_list(w->store, (struct store_letter_pick){0}, write_meanwhile,
                                           &other, &w->err),
                     RESULT_DONE);
    assert_int_equal(other.seen, 20);
    ops->close(other.store);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* The store of a stream is a file of its own, made by the first relay. */
static void own_file_is_made_by_who_writes(void **state)
{
    struct world *w = *state;
    char path[160], url[180];
    void *store;
    int64_t count = -1, id;
    bool paused = true;
    struct store_position at = {.saved_at_us = 1};
    snprintf(path, sizeof path, "%s/own.db", w->dir);
    snprintf(url, sizeof url, "sqlite:%s", path);
    struct store_env env = w->env;
    env.url = url;
    env.create = true;
    assert_int_equal(ops->open(&env, &store, &w->err), RESULT_DONE);
    assert_int_equal(ops->observe(store, &at, &w->err), RESULT_DONE);
    assert_int_equal(at.epoch, 0);
    assert_false(at.locked);
    assert_true(at.saved_at_us == TIME_NONE);
    assert_int_equal(ops->dead_letter_count(store, &count, &w->err), RESULT_DONE);
    assert_int_equal(count, 0);
    assert_int_equal(ops->get_paused(store, &paused, &w->err), RESULT_DONE);
    assert_false(paused);
    assert_int_not_equal(access(path, F_OK), 0); /* looking makes nothing */
    assert_int_equal(ops->control_put(store, STORE_PAUSE, "", "", &id, &w->err), RESULT_DONE);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(ops->start(store, &at, &w->err), RESULT_DONE);
    assert_int_equal(at.epoch, 1);
    buf_release(&at.cursor);
    ops->close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(keeps_the_position),
        CASE(makes_no_file_unless_told),
        CASE(one_relay_at_a_time),
        CASE(an_overtaken_relay_saves_nothing),
        CASE(a_lock_delays_a_save),
        CASE(a_locked_file_asks_for_the_state_again),
        CASE(a_lock_held_too_long_is_a_failure),
        CASE(a_replaced_file_is_not_written),
        CASE(commands_are_taken_in_order),
        CASE(paused_survives),
        CASE(a_dead_letter_is_kept_once),
        CASE(a_list_keeps_nobody_from_writing),
        cmocka_unit_test_setup_teardown(own_file_is_made_by_who_writes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
