/* Opens, starts and saves for the store tests, and gives them a database that nobody else uses. */
#include "../unit/unit.h"

#include "patience.h"
#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct fixture fixture;
static char server_url[400], database[64];

/* A store's environment outlives it (store.h), so the cases get theirs from here. */
static struct {
    struct store_env env;
    char pipeline[sizeof fixture.pipeline];
} opened[256];
static size_t opened_count;

void fixture_use(const struct store_ops *ops, const char *url)
{
    fixture.ops = ops;
    fixture.url = url;
}

int fixture_setup(void **state)
{
    static int number;
    snprintf(fixture.pipeline, sizeof fixture.pipeline, "p%d", ++number);
    *state = &fixture;
    return 0;
}

void assert_done(int rc, const struct error *err)
{
    if (rc != RESULT_DONE) {
        fail_msg("answered %d: %s [%s]", rc, err->text, err->code);
    }
}

void *fixture_open(struct fixture *f)
{
    assert_true(opened_count < sizeof opened / sizeof *opened);
    char *name = opened[opened_count].pipeline;
    struct store_env *env = &opened[opened_count++].env;
    memcpy(name, f->pipeline, sizeof f->pipeline);
    *env = (struct store_env){.url = f->url,
                              .pipeline = name,
                              .part = "",
                              .connect_timeout_us = PATIENCE_US,
                              .read_timeout_us = PATIENCE_US,
                              .stop_fd = -1};
    void *store = NULL;
    assert_done(f->ops->open(env, &store, &f->err), &f->err);
    return store;
}

/* The lock of a store that was just closed may take a moment to be free. */
void fixture_start(struct fixture *f, void *store, struct store_position *ret)
{
    int rc = RESULT_AGAIN;
    for (int64_t until = clock_mono_us() + PATIENCE_US;
         rc == RESULT_AGAIN && clock_mono_us() < until;) {
        rc = f->ops->start(store, ret, &f->err);
    }
    assert_done(rc, &f->err);
}

int fixture_saved(struct fixture *f, void *store)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    for (;;) {
        int rc = f->ops->saved(store, &f->err);
        if (rc != RESULT_AGAIN) {
            return rc;
        }
        assert_true(clock_mono_us() < until);
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_deadline(&set, until);
        f->ops->poll_fds(store, &set);
        poll_set_wait(&set);
    }
}

void fixture_save(struct fixture *f, void *store, const char *cursor, uint64_t delivered)
{
    assert_done(f->ops->save(store, slice_from(cursor), delivered, &f->err), &f->err);
    assert_done(fixture_saved(f, store), &f->err);
}

void fixture_url(char *out, size_t size, const char *url, const char *option, const char *value)
{
    const char *separator = !strstr(url, "://") ? " " : strchr(url, '?') ? "&" : "?";
    snprintf(out, size, "%s%s%s=%s", url, separator, option, value);
}

static void run_sql(const char *url, const char *sql)
{
    struct pg_options options = {.url = url,
                                 .pipeline = "test",
                                 .connect_timeout_us = 5 * US_PER_SECOND,
                                 .read_timeout_us = 30 * US_PER_SECOND,
                                 .stop_fd = -1};
    struct pg *pg = NULL;
    struct error err;
    if (pg_connect(&options, &pg, &err) || pg_query(pg, sql, 0, NULL, NULL, &err)) {
        fprintf(stderr, "%s: %s\n", sql, err.text);
        exit(1);
    }
    pg_close(pg);
}

void fixture_sql(const char *url, const char *sql)
{
    run_sql(url, sql);
}

void fixture_database_make(char *url, size_t size)
{
    const char *server = getenv("COMMITRELAY_TEST_PG");
    if (!server || !server[0]) {
        fprintf(stderr,
                "COMMITRELAY_TEST_PG is not set: it must name a PostgreSQL server for tests\n");
        exit(1);
    }
    char sql[128];
    snprintf(server_url, sizeof server_url, "%s", server);
    snprintf(database, sizeof database, "commitrelay_store_%ld", (long)getpid());
    snprintf(sql, sizeof sql, "create database %s", database);
    run_sql(server_url, sql);
    fixture_url(url, size, server_url, "dbname", database);
}

void fixture_database_drop(void)
{
    char sql[128];
    snprintf(sql, sizeof sql, "drop database %s with (force)", database);
    run_sql(server_url, sql);
}
