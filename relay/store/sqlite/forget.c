/*
 * Removes all that is kept of a pipeline. The lock is taken first: a relay that runs the pipeline
 * would go on saving into a row that is gone. A relay that comes later begins as a new pipeline.
 */
#include "store/sqlite/internal.h"

#include <stdio.h>

static int remove_rows(struct store_sqlite *s, struct error *err)
{
    static const char *const tables[] = {"commitrelay_history", "commitrelay_control",
                                         "commitrelay_dead_letters", "commitrelay_replays",
                                         "commitrelay_positions"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
        char sql[128];
        snprintf(sql, sizeof sql, "DELETE FROM %s WHERE pipeline = ?1 AND part = ?2", tables[i]);
        if (store_sqlite_prepare(s, sql, &q, err) || sqlite_run(q, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

int store_sqlite_forget(void *store, struct error *err)
{
    struct store_sqlite *s = store;
    bool there;
    if (store_sqlite_look(s, &there, err)) {
        return RESULT_ERROR;
    }
    if (!there) {
        return RESULT_DONE;
    }
    int rc = store_sqlite_lock(s, err);
    rc = rc ? rc : store_sqlite_ensure_tables(s, err);
    rc = rc ? rc : sqlite_begin(s->db, err);
    if (rc) {
        return rc;
    }
    if (remove_rows(s, err)) {
        sqlite_rollback(s->db);
        return RESULT_ERROR;
    }
    return sqlite_commit(s->db, err);
}
