/*
 * Counts what came, each event once: claim_sqlite shop.db < events, a line "ID AMOUNT" an event.
 *
 *     cc claim_sqlite.c $(pkg-config --cflags --libs commitrelay-inbox sqlite3) -o claim_sqlite
 *
 * The database has the inbox (commitrelay init --source sqlite:shop.db --inbox) and a table
 * total(n).
 */
#include <commitrelay_inbox.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

static int run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
        return -1;
    }
    return 0;
}

static int add(sqlite3 *db, int amount)
{
    char sql[64];
    snprintf(sql, sizeof sql, "update total set n = n + %d", amount);
    return run(db, sql);
}

/* 1: handled, 0: seen before, -1: failed, and nothing was changed. */
static int handle(sqlite3 *db, const char *id, int amount)
{
    if (run(db, "begin immediate")) {
        return -1;
    }
    int claimed = cr_inbox_claim_sqlite(db, "totals", id);
    if (claimed < 0) {
        fprintf(stderr, "%s\n", cr_inbox_error());
    }
    if (claimed < 0 || (claimed == 1 && add(db, amount)) || run(db, "commit")) {
        run(db, "rollback");
        return -1;
    }
    return claimed;
}

int main(int argc, char **argv)
{
    sqlite3 *db = NULL;
    char id[64], amount[16];
    int rc = 0;
    if (argc != 2 || sqlite3_open(argv[1], &db) != SQLITE_OK) {
        fprintf(stderr, "usage: claim_sqlite DATABASE < EVENTS\n");
        return 64;
    }
    sqlite3_busy_timeout(db, 10000);
    while (rc >= 0 && scanf("%63s %15s", id, amount) == 2) {
        rc = handle(db, id, (int)strtol(amount, NULL, 10));
        printf("%s: %s\n", id, rc == 1 ? "handled" : rc == 0 ? "seen before" : "failed");
    }
    sqlite3_close(db);
    return rc < 0;
}
