/*
 * The history of positions. Once a minute a save is one transaction that changes the position, adds
 * it to the history, and removes a few lines that are too old.
 */
#include "store/sqlite/internal.h"

#include "base/clock.h"

/* How many old lines a save removes at most. */
#define REMOVED_AT_ONCE "20"

int store_sqlite_history_start(struct store_sqlite *s, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row;
    if (store_sqlite_prepare(
            s, "SELECT max(at_us) FROM commitrelay_history WHERE pipeline = ?1 AND part = ?2", &q,
            err) ||
        sqlite_step(q, &row, err)) {
        return RESULT_ERROR;
    }
    bool none = !row || slice_is_null(sqlite_value(q, 0));
    int64_t age_us = none ? STORE_HISTORY_EVERY_US : clock_wall_us() - sqlite_int(q, 0);
    bool young = age_us >= 0 && age_us < STORE_HISTORY_EVERY_US;
    s->note_at_us = clock_mono_us() + (young ? STORE_HISTORY_EVERY_US - age_us : 0);
    return RESULT_DONE;
}

bool store_sqlite_history_due(const struct store_sqlite *s)
{
    return clock_mono_us() >= s->note_at_us;
}

/* Of the lines older than 7 days the newest one stays: it says where the pipeline stood then. */
static int remove_old(struct store_sqlite *s, int64_t now_us, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    if (store_sqlite_prepare(
            s,
            "DELETE FROM commitrelay_history WHERE pipeline = ?1 AND part = ?2 AND at_us IN "
            "(SELECT at_us FROM commitrelay_history WHERE pipeline = ?1 AND part = ?2 AND at_us < "
            "(SELECT max(at_us) FROM commitrelay_history WHERE pipeline = ?1 AND part = ?2 AND "
            "at_us <= ?3) ORDER BY at_us LIMIT " REMOVED_AT_ONCE ")",
            &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(q, 3, now_us - STORE_HISTORY_KEEP_US);
    return sqlite_run(q, err);
}

int store_sqlite_history_note(struct store_sqlite *s, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    int64_t now_us = clock_wall_us();
    if (store_sqlite_prepare(s,
                             "INSERT OR REPLACE INTO commitrelay_history (pipeline, part, at_us, "
                             "cursor) VALUES (?1, ?2, ?3, ?4)",
                             &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(q, 3, now_us);
    sqlite_bind_text(q, 4, buf_slice(&s->cursor));
    return sqlite_run(q, err) == RESULT_DONE ? remove_old(s, now_us, err) : RESULT_ERROR;
}

void store_sqlite_history_noted(struct store_sqlite *s)
{
    s->note_at_us = clock_mono_us() + STORE_HISTORY_EVERY_US;
}

/* `sql` is prepared with the time as ?3. *ret stays NULL if there is no history, as in a file that
 * only an earlier version has used. */
static int ask(struct store_sqlite *s, const char *sql, int64_t at_us, struct sqlite_stmt **ret,
               struct error *err)
{
    bool there;
    int64_t tables = 0;
    if (store_sqlite_look(s, &there, err) ||
        (there &&
         sqlite_query_int(s->db,
                          "SELECT count(*) FROM sqlite_master WHERE name = 'commitrelay_history'",
                          0, &tables, err))) {
        return RESULT_ERROR;
    }
    if (tables == 0) {
        return RESULT_DONE;
    }
    if (store_sqlite_prepare(s, sql, ret, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(*ret, 3, at_us);
    return RESULT_DONE;
}

#define LINES                                                                       \
    "SELECT at_us, cursor FROM commitrelay_history WHERE pipeline = ?1 AND part = " \
    "?2 AND at_us "

int store_sqlite_history_list(void *store, int64_t since_us,
                              int (*each)(void *ctx, int64_t at_us, struct slice cursor), void *ctx,
                              struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row = false;
    int rc = ask(store, LINES ">= ?3 ORDER BY at_us", since_us, &q, err);
    while (rc == RESULT_DONE && q && (rc = sqlite_step(q, &row, err)) == RESULT_DONE && row) {
        rc = each(ctx, sqlite_int(q, 0), sqlite_value(q, 1));
    }
    return rc;
}

int store_sqlite_history_at(void *store, int64_t at_us, struct buf *ret_cursor, int64_t *ret_at_us,
                            struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row = false;
    if (ask(store, LINES "<= ?3 ORDER BY at_us DESC LIMIT 1", at_us, &q, err) ||
        (q && sqlite_step(q, &row, err))) {
        return RESULT_ERROR;
    }
    buf_clear(ret_cursor);
    if (row) {
        *ret_at_us = sqlite_int(q, 0);
        buf_add_slice(ret_cursor, sqlite_value(q, 1));
    }
    return RESULT_DONE;
}
