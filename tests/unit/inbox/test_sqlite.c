/* libcommitrelay-inbox on SQLite: an event is claimed once, in the caller's transaction. */
#include "unit.h"

#include "commitrelay_inbox.h"
#include "schema/schema.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, EVENTS = 40 };

struct world {
    char dir[64], path[128];
    sqlite3 *db, *other;
};

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
}

static sqlite3 *open_db(const char *path)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/cr-inbox-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/a.db", w->dir);
    w->db = open_db(w->path);
    w->other = open_db(w->path);
    run(w->db, schema_sqlite_inbox);
    *state = w;
    return 0;
}

/* A statement that the library left behind would keep the connection open. */
static int teardown(void **state)
{
    struct world *w = *state;
    char command[128];
    assert_int_equal(sqlite3_close(w->db), SQLITE_OK);
    assert_int_equal(sqlite3_close(w->other), SQLITE_OK);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static int count(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int n = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return n;
}

static void fails(sqlite3 *db, const char *consumer, const char *event_id, const char *why)
{
    assert_int_equal(cr_inbox_claim_sqlite(db, consumer, event_id), -1);
    if (!strstr(cr_inbox_error(), why)) {
        fail_msg("\"%s\" is not in: %s", why, cr_inbox_error());
    }
}

static void an_event_is_claimed_once(void **state)
{
    struct world *w = *state;
    run(w->db, "begin immediate");
    assert_int_equal(cr_inbox_claim_sqlite(w->db, "billing", "e-1"), 1);
    assert_int_equal(cr_inbox_claim_sqlite(w->db, "billing", "e-1"), 0);
    assert_int_equal(cr_inbox_claim_sqlite(w->db, "billing", "e-2"), 1);
    run(w->db, "commit");
    run(w->other, "begin immediate");
    assert_int_equal(cr_inbox_claim_sqlite(w->other, "billing", "e-1"), 0);
    assert_int_equal(cr_inbox_claim_sqlite(w->other, "mails", "e-1"), 1);
    run(w->other, "commit");
    assert_int_equal(count(w->db, "select count(*) from inbox where received_at glob "
                                  "'20[0-9][0-9]-*T*Z'"),
                     3);
}

static void a_rollback_gives_the_claim_back(void **state)
{
    struct world *w = *state;
    run(w->db, "begin immediate");
    assert_int_equal(cr_inbox_claim_sqlite(w->db, "billing", "e-1"), 1);
    run(w->db, "rollback");
    run(w->db, "begin immediate; savepoint one");
    assert_int_equal(cr_inbox_claim_sqlite(w->db, "billing", "e-1"), 1);
    run(w->db, "rollback to one");
    assert_int_equal(cr_inbox_claim_sqlite(w->db, "billing", "e-1"), 1);
    run(w->db, "commit");
}

static void outside_a_transaction_nothing_is_claimed(void **state)
{
    struct world *w = *state;
    fails(w->db, "billing", "e-1", "no transaction is open on this connection; BEGIN before");
    assert_int_equal(count(w->db, "select count(*) from inbox"), 0);
}

static void what_is_missing_is_named(void **state)
{
    struct world *w = *state;
    fails(NULL, "billing", "e-1", "no connection");
    run(w->db, "begin");
    fails(w->db, NULL, "e-1", "the consumer has no name");
    fails(w->db, "", "e-1", "the consumer has no name");
    fails(w->db, "billing", NULL, "the event has no id");
    fails(w->db, "billing", "", "the event has no id");
    run(w->db, "drop table inbox");
    fails(w->db, "billing", "e-1",
          "no such table: inbox; make the inbox with `commitrelay init --source sqlite:PATH "
          "--inbox`");
    run(w->db, "create table inbox (consumer text, event_id text)");
    fails(w->db, "billing", "e-1", "make the inbox with");
    run(w->db, "rollback");
}

static void another_writer_is_an_error(void **state)
{
    struct world *w = *state;
    run(w->db, "begin immediate");
    assert_int_equal(cr_inbox_claim_sqlite(w->db, "billing", "e-1"), 1);
    run(w->other, "begin");
    fails(w->other, "billing", "e-1", "database is locked; another connection writes: roll back");
    assert_int_equal(sqlite3_extended_errcode(w->other), SQLITE_BUSY);
    run(w->other, "rollback");
    run(w->db, "commit");
    run(w->other, "begin immediate");
    assert_int_equal(cr_inbox_claim_sqlite(w->other, "billing", "e-1"), 0);
    assert_string_equal(cr_inbox_error(), "");
    run(w->other, "commit");
}

static void *error_of_a_thread(void *ret)
{
    *(bool *)ret = cr_inbox_error()[0] == '\0';
    return NULL;
}

static void an_error_belongs_to_its_thread(void **state)
{
    struct world *w = *state;
    pthread_t thread;
    bool empty = false;
    fails(w->db, "billing", "", "the event has no id");
    assert_int_equal(pthread_create(&thread, NULL, error_of_a_thread, &empty), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(empty);
}

/* Claims every event and notes each one that was new, on a connection of its own. */
static void *consume(void *path)
{
    sqlite3 *db = NULL;
    char id[16];
    long failed = sqlite3_open(path, &db) != SQLITE_OK;
    sqlite3_busy_timeout(db, 600 * 1000);
    for (int i = 0; i < EVENTS && !failed; i++) {
        snprintf(id, sizeof id, "e-%d", i);
        failed |= sqlite3_exec(db, "begin immediate", NULL, NULL, NULL) != SQLITE_OK;
        int claimed = cr_inbox_claim_sqlite(db, "billing", id);
        failed |= claimed < 0;
        if (claimed == 1) {
            failed |= sqlite3_exec(db, "insert into effects values (1)", NULL, NULL, NULL) != 0;
        }
        failed |= sqlite3_exec(db, "commit", NULL, NULL, NULL) != SQLITE_OK;
    }
    sqlite3_close(db);
    return (void *)failed;
}

static void threads_with_a_connection_each(void **state)
{
    struct world *w = *state;
    pthread_t threads[THREADS];
    run(w->db, "pragma journal_mode = wal; create table effects (n)");
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, consume, w->path), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(count(w->db, "select count(*) from effects"), EVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_is_claimed_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rollback_gives_the_claim_back, setup, teardown),
        cmocka_unit_test_setup_teardown(outside_a_transaction_nothing_is_claimed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_missing_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(another_writer_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(an_error_belongs_to_its_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_with_a_connection_each, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
