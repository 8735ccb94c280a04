/*
 * What becomes of a dead letter in SQLite: it is closed, tried once more, edited, or removed when
 * it has been closed for long enough.
 */
#include "store/sqlite/internal.h"

#include "schema/schema.h"

/* Matches one open dead letter: ?3 is its number. */
#define OPEN_LETTER \
    " WHERE pipeline = ?1 AND part = ?2 AND id = ?3 AND state = '" STORE_LETTER_OPEN "'"

/* Prepares an update of one letter. */
static int prepare(struct store_sqlite *s, const char *sql, int64_t id, struct sqlite_stmt **ret,
                   struct error *err)
{
    if (store_sqlite_connect(s, false, err) || store_sqlite_ensure_tables(s, err) ||
        store_sqlite_prepare(s, sql, ret, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(*ret, 3, id);
    return RESULT_DONE;
}

/* *ret_done: it changed the letter. */
static int run(struct store_sqlite *s, struct sqlite_stmt *q, bool *ret_done, struct error *err)
{
    if (sqlite_run(q, err)) {
        return RESULT_ERROR;
    }
    *ret_done = sqlite_changes(s->db) == 1;
    return RESULT_DONE;
}

int store_sqlite_dead_close(void *store, int64_t id, const char *state, int64_t edits,
                            int64_t now_us, bool *ret_done, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    char when[CLOCK_RFC3339_SIZE];
    if (prepare(store,
                "UPDATE commitrelay_dead_letters SET state = ?4, closed_at = ?6" OPEN_LETTER
                " AND ?5 IN (-1, edits)",
                id, &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(q, 4, slice_from(state));
    sqlite_bind_int(q, 5, edits);
    sqlite_bind_text(q, 6, store_sqlite_time(now_us, when));
    return run(store, q, ret_done, err);
}

int store_sqlite_dead_failed(void *store, int64_t id, struct slice reason, int64_t now_us,
                             bool *ret_done, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    char when[CLOCK_RFC3339_SIZE];
    if (prepare(store,
                "UPDATE commitrelay_dead_letters SET attempts = attempts + 1, reason = ?4, "
                "last_failed_at = ?5" OPEN_LETTER,
                id, &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(q, 4, reason);
    sqlite_bind_text(q, 5, store_sqlite_time(now_us, when));
    return run(store, q, ret_done, err);
}

int store_sqlite_dead_edit(void *store, int64_t id, int64_t edits,
                           const struct store_letter_edit *edit, bool *ret_done, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    if (prepare(store,
                "UPDATE commitrelay_dead_letters SET edits = edits + 1, edited = ?5, "
                "edited_topic = ?6, edited_key = ?7, edited_headers = ?8, "
                "edited_payload = ?9" OPEN_LETTER " AND edits = ?4",
                id, &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(q, 4, edits);
    sqlite_bind_int(q, 5, edit->fields);
    sqlite_bind_text(q, 6, edit->topic);
    sqlite_bind_blob(q, 7, edit->key);
    sqlite_bind_text(q, 8, edit->headers);
    sqlite_bind_blob(q, 9, edit->payload);
    return run(store, q, ret_done, err);
}

static int expire(struct store_sqlite *s, const char *sql, const char *before, int64_t limit,
                  int64_t *removed, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    if (store_sqlite_prepare(s, sql, &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(q, 3, slice_from(before));
    sqlite_bind_int(q, 4, limit);
    if (sqlite_run(q, err)) {
        return RESULT_ERROR;
    }
    *removed += sqlite_changes(s->db);
    return RESULT_DONE;
}

int store_sqlite_dead_expire(void *store, int64_t before_us, int64_t limit, int64_t *ret_removed,
                             struct error *err)
{
    struct store_sqlite *s = store;
    char before[CLOCK_RFC3339_SIZE];
    *ret_removed = 0;
    if (store_sqlite_connect(s, false, err)) {
        return RESULT_ERROR;
    }
    clock_format_rfc3339(before_us, before);
    sqlite_set_patience(s->db, 0);
    int rc = expire(s, schema_sql_sqlite_dead_letter_strip, before, limit, ret_removed, err);
    if (rc == RESULT_DONE && *ret_removed < limit) {
        rc = expire(s, schema_sql_sqlite_dead_letter_expire, before, limit - *ret_removed,
                    ret_removed, err);
    }
    sqlite_set_patience(s->db, STORE_SQLITE_PATIENCE_US);
    if (rc && sqlite_is_busy(err)) {
        error_clear(err);
        return RESULT_AGAIN;
    }
    return rc;
}
