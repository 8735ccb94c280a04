/* What only the PostgreSQL store can show: overtaking, foreign clusters, privileges, lost
 * connections. */
#include "../unit/unit.h"

#include "store_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void an_overtaken_relay_saves_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    void *s = fixture_open(f);
    fixture_start(f, s, &p);
    fixture_save(f, s, "mine", 1);
    fixture_sql(f->url, "update commitrelay.positions set epoch = epoch + 1, cursor = 'theirs'");
    assert_done(f->ops->save(s, SLICE_LITERAL("stale"), 2, &f->err), &f->err);
    assert_int_equal(fixture_saved(f, s), RESULT_ERROR);
    assert_int_equal(f->err.class, ERROR_RETRY);
    assert_done(f->ops->report_state(s, "stale", "", &f->err), &f->err);
    assert_done(f->ops->observe(s, &p, &f->err), &f->err);
    assert_string_equal(buf_str(&p.cursor), "theirs");
    assert_string_equal(p.state, "");
    f->ops->close(s);
    buf_release(&p.cursor);
}

/* A partition shares its rows with the table that it is a partition of. */
static void a_prune_of_a_partition_is_one_of_its_table(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    int64_t us = 0;
    fixture_sql(f->url,
                "create table public.pruned_whole (id int) partition by range (id); create table"
                " public.\"pruned\"\"part\" partition of public.pruned_whole default");
    void *s = fixture_open(f);
    fixture_start(f, s, &p);
    assert_done(f->ops->note_pruned(s, "public.\"pruned\"\"part\"", 0, &f->err), &f->err);
    assert_done(f->ops->pruned(s, "pruned_whole", &us, &f->err), &f->err);
    assert_true(us != TIME_NONE);
    f->ops->close(s);
    buf_release(&p.cursor);
}

static void a_lost_connection_is_not_remade_without_its_lock(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    void *s = fixture_open(f);
    fixture_start(f, s, &p);
    fixture_sql(f->url,
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'");
    struct store_control c;
    while (f->ops->control_take(s, &c, &f->err) == RESULT_DONE) {
        poll(NULL, 0, 1); /* until the news has come */
    }
    assert_int_equal(f->err.class, ERROR_RETRY);
    assert_int_equal(f->ops->control_take(s, &c, &f->err), RESULT_ERROR);
    assert_int_equal(f->ops->save(s, SLICE_LITERAL("c"), 1, &f->err), RESULT_ERROR);
    assert_int_equal(f->err.class, ERROR_RETRY);
    fixture_start(f, s, &p);
    assert_int_equal(p.epoch, 2);
    fixture_save(f, s, "c", 1);
    f->ops->close(s);
    buf_release(&p.cursor);
}

static void a_cursor_of_another_cluster_stops_the_start(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    int64_t id = 0;
    void *s = fixture_open(f);
    fixture_start(f, s, &p);
    fixture_save(f, s, "old", 9);
    f->ops->close(s);
    fixture_sql(f->url, "update commitrelay.positions set system_identifier = 42");
    s = fixture_open(f);
    assert_int_equal(f->ops->start(s, &p, &f->err), RESULT_ERROR);
    assert_int_equal(f->err.class, ERROR_FATAL);
    assert_int_equal(f->err.exit_code, EXIT_CODE_UNAVAILABLE);
    assert_non_null(strstr(f->err.text, "position set"));
    /* The way out: a waiting command; and only a save makes the new cluster the right one. */
    assert_done(f->ops->control_put(s, STORE_SET_POSITION, "now", "", &id, &f->err), &f->err);
    fixture_start(f, s, &p);
    assert_int_equal(p.cursor.len, 0);
    assert_int_equal(p.delivered, 9);
    fixture_save(f, s, "new", 9);
    assert_done(f->ops->control_answer(s, id, "done", &f->err), &f->err);
    fixture_start(f, s, &p);
    assert_string_equal(buf_str(&p.cursor), "new");
    f->ops->close(s);
    buf_release(&p.cursor);
}

static void looking_makes_nothing_and_missing_rights_are_told(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    char role[40], sql[300], url[512], option[80];
    const char *before = f->url;
    snprintf(role, sizeof role, "commitrelay_weak_%ld", (long)getpid());
    snprintf(sql, sizeof sql, "drop schema commitrelay cascade; create role %s", role);
    fixture_sql(f->url, sql);
    snprintf(option, sizeof option, "-c%%20role%%3D%s", role);
    fixture_url(url, sizeof url, f->url, "options", option);
    f->url = url;
    void *s = fixture_open(f);
    assert_done(f->ops->observe(s, &p, &f->err), &f->err);
    assert_int_equal(f->ops->start(s, &p, &f->err), RESULT_ERROR);
    assert_int_equal(f->err.class, ERROR_CONFIG);
    assert_int_equal(f->err.exit_code, EXIT_CODE_PERMISSION);
    assert_non_null(strstr(f->err.text, "commitrelay init"));
    f->ops->close(s);
    f->url = before;
    /* With the tables there, the rights of schema/postgres/roles.sql are enough. */
    s = fixture_open(f);
    fixture_start(f, s, &p);
    f->ops->close(s);
    snprintf(sql, sizeof sql,
             "grant usage on schema commitrelay to %s; grant select, insert, update, delete on all "
             "tables in schema commitrelay to %s",
             role, role);
    fixture_sql(f->url, sql);
    f->url = url;
    s = fixture_open(f);
    fixture_start(f, s, &p);
    fixture_save(f, s, "c", 1);
    struct store_dead_letter d = {.reason = SLICE_LITERAL("r")};
    assert_done(f->ops->dead_letter_put(s, &d, NULL, &f->err), &f->err);
    int64_t id = 0;
    assert_done(f->ops->control_put(s, STORE_RESUME, "", "", &id, &f->err), &f->err);
    f->ops->close(s);
    f->url = before;
    snprintf(sql, sizeof sql, "drop owned by %s; drop role %s", role, role);
    fixture_sql(f->url, sql);
    buf_release(&p.cursor);
}

static void the_holder_of_the_lock_is_named(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    char name[64];
    void *first = fixture_open(f), *second = fixture_open(f);
    fixture_start(f, first, &p);
    assert_int_equal(f->ops->start(second, &p, &f->err), RESULT_AGAIN);
    snprintf(name, sizeof name, "commitrelay %s", f->pipeline);
    assert_non_null(strstr(f->err.text, name));
    assert_non_null(strstr(f->err.text, "server process "));
    f->ops->close(first);
    f->ops->close(second);
    buf_release(&p.cursor);
}

struct starter {
    struct fixture fixture;
    void *store;
    struct store_position at;
    _Atomic int rc; /* UNDER_WAY until it is there */
};
enum { UNDER_WAY = 77 };

static void *start_one(void *starter)
{
    struct starter *s = starter;
    s->rc = s->fixture.ops->start(s->store, &s->at, &s->fixture.err);
    return NULL;
}

static struct pg *connect_to(struct fixture *f)
{
    const struct pg_options options = {.url = f->url,
                                       .pipeline = "test",
                                       .connect_timeout_us = 60 * US_PER_SECOND,
                                       .read_timeout_us = 60 * US_PER_SECOND,
                                       .stop_fd = -1};
    struct pg *c = NULL;
    assert_done(pg_connect(&options, &c, &f->err), &f->err);
    return c;
}

static int64_t waiting_for_the_schema(struct fixture *f, struct pg *c)
{
    struct pg_result *r = NULL;
    assert_done(pg_query(c,
                         "select count(*) from pg_locks where locktype = 'advisory' and not granted"
                         " and database = (select oid from pg_database where datname ="
                         " current_database())",
                         0, NULL, &r, &f->err),
                &f->err);
    int64_t n = pg_int(r, 0, 0, 0);
    pg_result_free(r);
    return n;
}

/* Both have seen that there are no tables before either of them makes them. */
static void two_first_starts_at_once(void **state)
{
    struct fixture *f = *state;
    struct starter two[2] = {{.fixture = *f, .rc = UNDER_WAY}, {.fixture = *f, .rc = UNDER_WAY}};
    pthread_t threads[2];
    fixture_sql(f->url, "drop schema commitrelay cascade");
    struct pg *c = connect_to(f);
    assert_done(pg_query(c, "select pg_advisory_lock(" PG_MAKE_LOCK ")", 0, NULL, NULL, &f->err),
                &f->err);
    for (size_t i = 0; i < 2; i++) {
        snprintf(two[i].fixture.pipeline, sizeof two[i].fixture.pipeline, "first-%zu", i);
        two[i].store = fixture_open(&two[i].fixture);
        assert_int_equal(pthread_create(&threads[i], NULL, start_one, &two[i]), 0);
    }
    while (waiting_for_the_schema(f, c) < 2) {
        assert_true(two[0].rc == UNDER_WAY && two[1].rc == UNDER_WAY); /* nobody passes the lock */
        poll(NULL, 0, 1);
    }
    assert_done(pg_query(c, "select pg_advisory_unlock(" PG_MAKE_LOCK ")", 0, NULL, NULL, &f->err),
                &f->err);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_done(two[i].rc, &two[i].fixture.err);
        f->ops->close(two[i].store);
        buf_release(&two[i].at.cursor);
    }
    pg_close(c);
}

int store_postgres_tests(const struct store_ops *ops, const char *url)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_overtaken_relay_saves_nothing),
        STORE_TEST(a_prune_of_a_partition_is_one_of_its_table),
        STORE_TEST(a_lost_connection_is_not_remade_without_its_lock),
        STORE_TEST(a_cursor_of_another_cluster_stops_the_start),
        STORE_TEST(looking_makes_nothing_and_missing_rights_are_told),
        STORE_TEST(the_holder_of_the_lock_is_named),
        STORE_TEST(two_first_starts_at_once),
    };
    fixture_use(ops, url);
    return cmocka_run_group_tests_name("postgres only", tests, NULL, NULL);
}
