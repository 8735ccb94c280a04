/* libcommitrelay-inbox on a real PostgreSQL: claims.py starts it and makes the inbox and `effects`.
 */
#include "unit.h"

#include "commitrelay_inbox.h"
#include <libpq-fe.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 8, EVENTS = 40 };

static PGconn *connect_db(void)
{
    PGconn *db = PQconnectdb(getenv("COMMITRELAY_TEST_PG"));
    if (PQstatus(db) != CONNECTION_OK) {
        fail_msg("%s", PQerrorMessage(db));
    }
    return db;
}

static bool succeeds(PGconn *db, const char *sql)
{
    PGresult *r = PQexec(db, sql);
    ExecStatusType s = PQresultStatus(r);
    PQclear(r);
    return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK;
}

static void run(PGconn *db, const char *sql)
{
    if (!succeeds(db, sql)) {
        fail_msg("%s: %s", sql, PQerrorMessage(db));
    }
}

static int number(PGconn *db, const char *sql)
{
    PGresult *r = PQexec(db, sql);
    if (PQntuples(r) != 1) {
        fail_msg("%s: %s", sql, PQerrorMessage(db));
    }
    int n = atoi(PQgetvalue(r, 0, 0));
    PQclear(r);
    return n;
}

struct world {
    PGconn *a, *b;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->a = connect_db();
    w->b = connect_db();
    run(w->a, "truncate inbox, effects");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    PQfinish(w->a);
    PQfinish(w->b);
    free(w);
    return 0;
}

static void fails(PGconn *db, const char *consumer, const char *event_id, const char *why)
{
    assert_int_equal(cr_inbox_claim_pg(db, consumer, event_id), -1);
    if (!strstr(cr_inbox_error(), why) || strchr(cr_inbox_error(), '\n')) {
        fail_msg("\"%s\" is not in: %s", why, cr_inbox_error());
    }
}

static void an_event_is_claimed_once(void **state)
{
    struct world *w = *state;
    run(w->a, "begin");
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", "e-1"), 1);
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", "e-1"), 0);
    assert_int_equal(cr_inbox_claim_pg(w->a, "mails", "e-1"), 1);
    run(w->a, "commit");
    run(w->b, "begin");
    assert_int_equal(cr_inbox_claim_pg(w->b, "billing", "e-1"), 0);
    assert_string_equal(cr_inbox_error(), "");
    run(w->b, "commit");
}

static void a_rollback_gives_the_claim_back(void **state)
{
    struct world *w = *state;
    run(w->a, "begin");
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", "e-1"), 1);
    run(w->a, "rollback; begin; savepoint one");
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", "e-1"), 1);
    run(w->a, "rollback to one");
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", "e-1"), 1);
    run(w->a, "commit");
}

/* --- two transactions claim one event --- */

struct claim {
    PGconn *db;
    int result;
    char error[512];
};

static void *claim_and_wait(void *arg)
{
    struct claim *c = arg;
    c->result = cr_inbox_claim_pg(c->db, "billing", "e-1");
    snprintf(c->error, sizeof c->error, "%s", cr_inbox_error());
    return NULL;
}

static void wait_until_it_waits(PGconn *db)
{
    char waiting[96];
    PGconn *look = connect_db();
    snprintf(waiting, sizeof waiting,
             "select count(*) from pg_locks where pid = %d and not granted", PQbackendPID(db));
    while (number(look, waiting) == 0) {
        usleep(1000);
    }
    PQfinish(look);
}

/* Both have begun; a claims first, b waits for a, and a ends as it is told. */
static struct claim race(struct world *w, const char *end)
{
    struct claim c = {.db = w->b};
    pthread_t thread;
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", "e-1"), 1);
    assert_int_equal(pthread_create(&thread, NULL, claim_and_wait, &c), 0);
    wait_until_it_waits(w->b);
    run(w->a, end);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return c;
}

static void the_second_waits_and_is_told_no(void **state)
{
    struct world *w = *state;
    run(w->a, "begin");
    run(w->b, "begin");
    assert_int_equal(race(w, "commit").result, 0);
    run(w->b, "commit");
    assert_int_equal(number(w->a, "select count(*) from inbox"), 1);
}

static void the_second_gets_it_after_a_rollback(void **state)
{
    struct world *w = *state;
    run(w->a, "begin");
    run(w->b, "begin");
    assert_int_equal(race(w, "rollback").result, 1);
    run(w->b, "commit");
    assert_int_equal(number(w->a, "select count(*) from inbox"), 1);
}

static void the_second_gets_it_when_the_first_dies(void **state)
{
    struct world *w = *state;
    char kill[64];
    run(w->a, "begin");
    run(w->b, "begin");
    PGconn *killer = connect_db(), *first = w->a;
    snprintf(kill, sizeof kill, "select pg_terminate_backend(%d)", PQbackendPID(first));
    assert_int_equal(cr_inbox_claim_pg(first, "billing", "e-1"), 1);
    run(killer, kill);
    assert_int_equal(cr_inbox_claim_pg(w->b, "billing", "e-1"), 1);
    run(w->b, "commit");
    for (int i = 0; i < 2; i++) {
        fails(first, "billing", "e-1", "; connect, and begin the transaction again");
    }
    PQfinish(killer);
}

static void a_stricter_isolation_is_told_to_begin_again(void **state)
{
    struct world *w = *state;
    run(w->a, "begin");
    run(w->b, "begin isolation level repeatable read; select count(*) from inbox");
    struct claim c = race(w, "commit");
    assert_int_equal(c.result, -1);
    assert_non_null(strstr(c.error, "(40001)"));
    assert_non_null(strstr(c.error, "; roll back and begin the transaction again"));
    run(w->b, "rollback; begin isolation level repeatable read");
    assert_int_equal(cr_inbox_claim_pg(w->b, "billing", "e-1"), 0);
    run(w->b, "commit");
}

static void the_wait_has_an_end(void **state)
{
    struct world *w = *state;
    run(w->a, "begin");
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", "e-1"), 1);
    run(w->b, "begin; set local lock_timeout = '1ms'");
    fails(w->b, "billing", "e-1", "(55P03): canceling statement due to lock timeout; another");
    run(w->b, "rollback");
    run(w->a, "commit");
}

static void a_deadlock_hits_one_of_them(void **state)
{
    struct world *w = *state;
    run(w->a, "begin; set local deadlock_timeout = '1h'");
    run(w->b, "begin; set local deadlock_timeout = '1ms'");
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", "e-1"), 1);
    assert_int_equal(cr_inbox_claim_pg(w->b, "billing", "e-2"), 1);
    assert_int_equal(PQsendQuery(w->a, "select inbox_claim('billing', 'e-2')"), 1);
    wait_until_it_waits(w->a);
    fails(w->b, "billing", "e-1",
          "(40P01): deadlock detected; roll back and begin the transaction");
    run(w->b, "rollback");
    PGresult *r = PQgetResult(w->a);
    assert_string_equal(PQgetvalue(r, 0, 0), "t");
    PQclear(r);
    assert_null(PQgetResult(w->a));
    run(w->a, "commit");
}

/* --- what can be wrong --- */

static void outside_a_transaction_nothing_is_claimed(void **state)
{
    struct world *w = *state;
    fails(w->a, "billing", "e-1", "no transaction is open on this connection; BEGIN before");
    assert_int_equal(number(w->a, "select count(*) from inbox"), 0);
}

static void what_is_missing_is_named(void **state)
{
    struct world *w = *state;
    fails(NULL, "billing", "e-1", "no connection; connect");
    run(w->a, "begin");
    fails(w->a, "", "e-1", "the consumer has no name");
    fails(w->a, "billing", NULL, "the event has no id");
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", "e-1"),
                     1); /* the transaction is unharmed */
    run(w->a, "rollback");
}

static void a_connection_that_is_busy_is_left_alone(void **state)
{
    struct world *w = *state;
    run(w->a, "begin");
    assert_int_equal(PQsendQuery(w->a, "select 7"), 1);
    fails(w->a, "billing", "e-1", "a query is under way on this connection; read its results");
    PGresult *r = PQgetResult(w->a);
    assert_string_equal(PQgetvalue(r, 0, 0), "7");
    PQclear(r);
    assert_null(PQgetResult(w->a));
    assert_int_equal(PQenterPipelineMode(w->a), 1);
    fails(w->a, "billing", "e-1", "pipeline mode");
    assert_int_equal(PQexitPipelineMode(w->a), 1);
    run(w->a, "rollback");
}

static void a_failed_transaction_stays_failed(void **state)
{
    struct world *w = *state;
    run(w->a, "begin");
    assert_false(succeeds(w->a, "select 1 / 0"));
    fails(w->a, "billing", "e-1", "(25P02): current transaction is aborted");
    run(w->a, "rollback; begin");
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", "e-1"), 1);
    run(w->a, "rollback");
}

static void what_the_database_lacks_is_named(void **state)
{
    struct world *w = *state;
    run(w->a, "begin; set local search_path = pg_catalog");
    fails(w->a, "billing", "e-1",
          "(42883): function inbox_claim(text, text) does not exist; run "
          "`commitrelay init --source URL --inbox`");
    run(w->a, "rollback; begin; create role reader; set local role reader");
    fails(w->a, "billing", "e-1", "(42501): permission denied for table inbox; grant the role");
    run(w->a, "rollback; begin transaction read only");
    fails(w->a, "billing", "e-1", "(25006): cannot execute");
    run(w->a, "rollback; begin; create schema odd; set local search_path = odd; "
              "create function inbox_claim(text, text) returns int language sql as 'select 1'");
    fails(w->a, "billing", "e-1", "inbox_claim does not give true or false; it is not");
    run(w->a, "rollback");
}

static void select_and_insert_are_enough(void **state)
{
    struct world *w = *state;
    run(w->a, "begin; create role billing; grant select, insert on inbox to billing; "
              "set local role billing");
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", "e-1"), 1);
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", "e-1"), 0);
    run(w->a, "rollback");
}

static void an_id_is_taken_as_it_is(void **state)
{
    struct world *w = *state;
    static const char hostile[] = "e'); drop table inbox; --\\ \xc3\xa4";
    run(w->a, "begin");
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", hostile), 1);
    assert_int_equal(cr_inbox_claim_pg(w->a, "billing", hostile), 0);
    assert_int_equal(cr_inbox_claim_pg(w->a, "Billing", hostile), 1);
    fails(w->a, "billing", "\xff", "(22021): invalid byte sequence");
    run(w->a, "rollback");
}

/* --- threads --- */

/* Every thread wants every event, some transactions fail after the claim and come again. */
static bool handle(PGconn *db, const char *id, bool fails_once)
{
    for (;; fails_once = false) {
        if (!succeeds(db, "begin")) {
            return false;
        }
        int claimed = cr_inbox_claim_pg(db, "billing", id);
        if (claimed < 0 || (claimed == 1 && !succeeds(db, "insert into effects values (1)"))) {
            return false;
        }
        bool again = claimed == 1 && fails_once;
        if (!succeeds(db, again ? "rollback" : "commit")) {
            return false;
        }
        if (!again) {
            return true;
        }
    }
}

static void *consume(void *arg)
{
    PGconn *db = arg;
    char id[16];
    for (int i = 0; i < EVENTS; i++) {
        snprintf(id, sizeof id, "e-%d", i);
        if (!handle(db, id, i % 3 == 0)) {
            return db;
        }
    }
    return NULL;
}

static void threads_with_a_connection_each(void **state)
{
    struct world *w = *state;
    pthread_t threads[THREADS];
    PGconn *db[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        db[i] = connect_db();
        assert_int_equal(pthread_create(&threads[i], NULL, consume, db[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        PQfinish(db[i]);
    }
    assert_int_equal(number(w->a, "select count(*) from effects"), EVENTS);
    assert_int_equal(number(w->a, "select count(*) from inbox"), EVENTS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_event_is_claimed_once),
        CASE(a_rollback_gives_the_claim_back),
        CASE(the_second_waits_and_is_told_no),
        CASE(the_second_gets_it_after_a_rollback),
        CASE(the_second_gets_it_when_the_first_dies),
        CASE(a_stricter_isolation_is_told_to_begin_again),
        CASE(the_wait_has_an_end),
        CASE(a_deadlock_hits_one_of_them),
        CASE(outside_a_transaction_nothing_is_claimed),
        CASE(what_is_missing_is_named),
        CASE(a_connection_that_is_busy_is_left_alone),
        CASE(a_failed_transaction_stays_failed),
        CASE(what_the_database_lacks_is_named),
        CASE(select_and_insert_are_enough),
        CASE(an_id_is_taken_as_it_is),
        CASE(threads_with_a_connection_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
