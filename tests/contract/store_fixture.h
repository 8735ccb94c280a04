/*
 * A store under test: which one, and a pipeline name that no other case uses.
 */
#pragma once

#include "contract/store.h"
#include "db/pg.h"

struct fixture {
    const struct store_ops *ops;
    const char *url;
    char pipeline[40];
    struct error err;
};

void fixture_use(const struct store_ops *ops, const char *url);
int fixture_setup(void **state); /* cmocka's: *state is a struct fixture with a new pipeline name */
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, NULL)

void *fixture_open(struct fixture *f);
void fixture_start(struct fixture *f, void *store, struct store_position *ret);
/* Saves and waits until it is durable. */
void fixture_save(struct fixture *f, void *store, const char *cursor, uint64_t delivered);
/* What `saved` answers in the end. */
int fixture_saved(struct fixture *f, void *store);

/* Fails the test with the error's text. */
void assert_done(int rc, const struct error *err);

/* The URL of a new database on COMMITRELAY_TEST_PG; the process ends when there is none. */
void fixture_database_make(char *url, size_t size);
void fixture_database_drop(void);
/* `url` with one more option. */
void fixture_url(char *out, size_t size, const char *url, const char *option, const char *value);
/* Runs a statement on the database under test, or ends the test. */
void fixture_sql(const char *url, const char *sql);

/* The history of positions, and what becomes of a pipeline's state. */
int store_history_tests(const struct store_ops *ops, const char *url);

/* Events that wait behind a dead letter. */
int store_waiting_tests(const struct store_ops *ops, const char *url);

/* A divided pipeline, if the store can divide one. */
int store_shards_tests(const struct store_ops *ops, const char *url);

/* What only PostgreSQL can show: overtaking, foreign clusters, privileges, lost connections. */
int store_postgres_tests(const struct store_ops *ops, const char *url);
