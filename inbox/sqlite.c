/* The claim in SQLite: one statement in the caller's transaction. */
#include "claim.h"
#include "commitrelay_inbox.h"

#include <sqlite3.h>
#include <string.h>

static const char claim_sql[] = "insert into inbox (consumer, event_id) values (?1, ?2) "
                                "on conflict (consumer, event_id) do nothing";

static int fail(sqlite3 *db)
{
    const char *message = sqlite3_errmsg(db), *remedy = "";
    switch (sqlite3_errcode(db)) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        remedy = "another connection writes: roll back, and begin again with BEGIN IMMEDIATE and a "
                 "busy timeout";
        break;
    default:
        if (strncmp(message, "no such table", strlen("no such table")) == 0 ||
            strncmp(message, "ON CONFLICT", strlen("ON CONFLICT")) == 0) {
            remedy = "make the inbox with `commitrelay init --source sqlite:PATH --inbox`";
        }
    }
    return cr_inbox_fail("inbox claim", message, remedy);
}

int cr_inbox_claim_sqlite(sqlite3 *db, const char *consumer, const char *event_id)
{
    sqlite3_stmt *insert = NULL;
    if (cr_inbox_begin(consumer, event_id)) {
        return -1;
    }
    if (!db) {
        return cr_inbox_fail("inbox claim", "no connection", "open the database first");
    }
    if (sqlite3_get_autocommit(db)) {
        return cr_inbox_outside();
    }
    if (sqlite3_prepare_v2(db, claim_sql, sizeof claim_sql, &insert, NULL) != SQLITE_OK ||
        sqlite3_bind_text(insert, 1, consumer, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_text(insert, 2, event_id, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(insert) != SQLITE_DONE) {
        fail(db);
        sqlite3_finalize(insert);
        return -1;
    }
    sqlite3_finalize(insert);
    return sqlite3_changes(db) == 1;
}
