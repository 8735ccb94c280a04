/*
 * Counts what came, each event once: claim_pg 'dbname=shop' < events, a line "ID AMOUNT" an event.
 *
 *     cc claim_pg.c $(pkg-config --cflags --libs commitrelay-inbox libpq) -o claim_pg
 *
 * The database has the inbox (commitrelay init --source postgresql:///shop --inbox) and a table
 * total(n).
 */
#include <commitrelay_inbox.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs one statement, whose command tag must begin with `tag`: after a statement that failed, the
 * answer to COMMIT is ROLLBACK. */
static int run(PGconn *db, const char *sql, const char *tag)
{
    PGresult *r = PQexec(db, sql);
    int failed = strncmp(PQcmdStatus(r), tag, strlen(tag)) != 0;
    if (failed) {
        fprintf(stderr, "%s: %s%s\n", sql, PQcmdStatus(r), PQerrorMessage(db));
    }
    PQclear(r);
    return failed ? -1 : 0;
}

static int add(PGconn *db, int amount)
{
    char sql[64];
    snprintf(sql, sizeof sql, "update total set n = n + %d", amount);
    return run(db, sql, "UPDATE 1");
}

/* 1: handled, 0: seen before, -1: failed, and nothing was changed. */
static int handle(PGconn *db, const char *id, int amount)
{
    if (run(db, "begin", "BEGIN")) {
        return -1;
    }
    int claimed = cr_inbox_claim_pg(db, "totals", id);
    if (claimed < 0) {
        fprintf(stderr, "%s\n", cr_inbox_error());
    }
    if (claimed < 0 || (claimed == 1 && add(db, amount))) {
        run(db, "rollback", "ROLLBACK");
        return -1;
    }
    return run(db, "commit", "COMMIT") ? -1 : claimed;
}

int main(int argc, char **argv)
{
    PGconn *db = PQconnectdb(argc == 2 ? argv[1] : "");
    char id[64], amount[16];
    int rc = 0;
    if (PQstatus(db) != CONNECTION_OK) {
        fprintf(stderr, "%s", PQerrorMessage(db));
        rc = -1;
    }
    while (rc >= 0 && scanf("%63s %15s", id, amount) == 2) {
        rc = handle(db, id, (int)strtol(amount, NULL, 10));
        printf("%s: %s\n", id, rc == 1 ? "handled" : rc == 0 ? "seen before" : "failed");
    }
    PQfinish(db);
    return rc < 0;
}
