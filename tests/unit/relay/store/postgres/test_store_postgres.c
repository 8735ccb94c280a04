/* The PostgreSQL store before a server that fails wherever the script says: what is not durable is
 * never called saved, and a start that fails leaves neither lock nor connection. */
#include "unit.h"

#include <string.h>

#include "contract/store.h"
#include "fake_libpq.h"

extern const struct store_ops store_postgres;

#define ROW(...)                                                                       \
    .columns = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), .rows = 1, \
    .values = (const char *const[])                                                    \
    {                                                                                  \
        __VA_ARGS__                                                                    \
    }

/* What a server answers to a start that goes well, and is asked afterwards. */
#define WELL                                                                                      \
    {.when = "to_regclass('commitrelay.positions')", ROW("t", "t", "t")},                         \
        {.when = "pg_is_in_recovery()", ROW("f", "since noon")},                                  \
        {.when = "select pg_backend_pid()", ROW("77")},                                           \
        {.when = "from pg_catalog.pg_locks", ROW("77", "commitrelay p", "127.0.0.1")},            \
        {.when = "pg_control_system()", ROW("4711", "5 (shop)")},                                 \
        {.when = "select p.system_identifier", .columns = 2},                                     \
        {.when = "from commitrelay.history", ROW("1000000")},                                     \
    {                                                                                             \
        .when = "set epoch = p.epoch + 1", ROW("the cursor", "12", "3", NULL, "running", "", "1") \
    }

static const char save_sql[] = "execute: update commitrelay.positions set cursor";

static void *opened(void)
{
    static const struct store_env env = {.url = "host=script",
                                         .pipeline = "p",
                                         .part = STORE_WHOLE,
                                         .connect_timeout_us = 1000000,
                                         .read_timeout_us = 1000000,
                                         .stop_fd = -1};
    struct error err;
    void *store = NULL;
    assert_int_equal(store_postgres.open(&env, &store, &err), RESULT_DONE);
    return store;
}

static void *started(void)
{
    void *store = opened();
    struct store_position at = {0};
    struct error err;
    if (store_postgres.start(store, &at, &err) != RESULT_DONE) {
        fail_msg("start: %s", err.text);
    }
    assert_string_equal(buf_str(&at.cursor), "the cursor");
    assert_int_equal(at.epoch, 3);
    buf_release(&at.cursor);
    return store;
}

static int save(void *store, struct error *err)
{
    int rc = store_postgres.save(store, SLICE_LITERAL("further on"), 13, err);
    while (rc == RESULT_DONE && (rc = store_postgres.saved(store, err)) == RESULT_AGAIN) {
        rc = RESULT_DONE;
    }
    return rc;
}

static void a_save_is_done_when_a_row_was_updated(void **state)
{
    (void)state;
    const struct fake_answer script[] = {WELL};
    fake_libpq_script(script, sizeof script / sizeof *script);
    void *store = started();
    struct error err;
    assert_int_equal(save(store, &err), RESULT_DONE);
    assert_int_equal(fake_libpq_sent(save_sql), 1);
    store_postgres.close(store);
    assert_int_equal(fake_libpq_open(), 0);
}

static void a_save_of_an_older_epoch_is_none(void **state)
{
    (void)state;
    const struct fake_answer script[] = {WELL, {.when = save_sql, .affected = "0"}};
    fake_libpq_script(script, sizeof script / sizeof *script);
    void *store = started();
    struct error err;
    assert_int_equal(save(store, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_non_null(strstr(err.text, "was taken over by another relay"));
    store_postgres.close(store);
}

/* Whether the row was updated, nobody knows: it counts as not saved. The connection is not made
 * anew, for another one would not have been looked at. */
static void a_save_without_an_answer_is_none(void **state)
{
    (void)state;
    const struct fake_answer script[] = {WELL, {.when = save_sql, .lost = true}};
    fake_libpq_script(script, sizeof script / sizeof *script);
    void *store = started();
    unsigned made = fake_libpq_made();
    struct error err;
    assert_int_equal(save(store, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    bool paused;
    assert_int_equal(store_postgres.get_paused(store, &paused, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_int_equal(fake_libpq_made(), made);
    store_postgres.close(store);
}

/* A question that comes while a save runs takes the save's answer too. It must not get lost with
 * it. */
static void a_question_keeps_the_outcome_of_the_save(void **state)
{
    (void)state;
    const struct fake_answer script[] = {WELL, {.when = save_sql, .nth = 1, .affected = "0"}};
    fake_libpq_script(script, sizeof script / sizeof *script);
    void *store = started();
    struct error err;
    int64_t letters;
    assert_int_equal(store_postgres.save(store, SLICE_LITERAL("x"), 13, &err), RESULT_DONE);
    int rc = store_postgres.dead_letter_count(store, &letters, &err);
    assert_int_equal(rc, RESULT_DONE);
    assert_int_equal(store_postgres.saved(store, &err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "was taken over by another relay"));
    store_postgres.close(store);
}

/* Returns what the nth statement of a start was answered with. */
static int start_that_fails_at(unsigned nth, const char *sqlstate, struct error *err)
{
    const struct fake_answer script[] = {
        {.when = "", .nth = nth, .sqlstate = sqlstate, .lost = !sqlstate}, WELL};
    fake_libpq_script(script, sizeof script / sizeof *script);
    void *store = opened();
    struct store_position at = {0};
    int rc = store_postgres.start(store, &at, err);
    if (rc != RESULT_DONE && fake_libpq_open() != 0) {
        fail_msg("statement %u failed (%s), and %u connections are left", nth, err->text,
                 fake_libpq_open());
    }
    buf_release(&at.cursor);
    store_postgres.close(store);
    assert_int_equal(fake_libpq_open(), 0);
    return rc;
}

/* The server shuts down (57P01), or is gone, between any two statements of a start. */
static void each_statement_of_a_start_may_fail(void **state)
{
    (void)state;
    static const char *const ways[] = {"57P01", "40001", NULL};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        unsigned nth = 1;
        struct error err;
        while (start_that_fails_at(nth, ways[w], &err) != RESULT_DONE) {
            if (err.class != ERROR_RETRY) {
                fail_msg("statement %u: class %s: %s", nth, error_class_name(err.class), err.text);
            }
            nth++;
        }
        assert_true(nth > 10); /* it went through all of a start's statements */
        assert_int_equal(fake_libpq_sent(""), nth - 1);
    }
}

static void a_lock_that_is_held_names_the_holder(void **state)
{
    (void)state;
    const struct fake_answer script[] = {{.when = "pg_advisory_lock(", .sqlstate = "55P03"}, WELL};
    fake_libpq_script(script, sizeof script / sizeof *script);
    void *store = opened();
    struct store_position at = {0};
    struct error err;
    assert_int_equal(store_postgres.start(store, &at, &err), RESULT_AGAIN);
    assert_non_null(strstr(err.text, "server process 77 (commitrelay p, from 127.0.0.1)"));
    assert_int_equal(fake_libpq_open(), 0);
    buf_release(&at.cursor);
    store_postgres.close(store);
}

/* The URL of several hosts led to another server the second time. */
static void a_lock_on_another_server_is_none(void **state)
{
    (void)state;
    const struct fake_answer script[] = {
        {.when = "from pg_catalog.pg_locks", ROW("78", "x", "127.0.0.1")}, WELL};
    fake_libpq_script(script, sizeof script / sizeof *script);
    void *store = opened();
    struct store_position at = {0};
    struct error err;
    assert_int_equal(store_postgres.start(store, &at, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_non_null(strstr(err.text, "several servers"));
    assert_int_equal(fake_libpq_sent("set epoch = p.epoch + 1"), 0);
    buf_release(&at.cursor);
    store_postgres.close(store);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_save_is_done_when_a_row_was_updated),
        cmocka_unit_test(a_save_of_an_older_epoch_is_none),
        cmocka_unit_test(a_save_without_an_answer_is_none),
        cmocka_unit_test(a_question_keeps_the_outcome_of_the_save),
        cmocka_unit_test(each_statement_of_a_start_may_fail),
        cmocka_unit_test(a_lock_that_is_held_names_the_holder),
        cmocka_unit_test(a_lock_on_another_server_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
