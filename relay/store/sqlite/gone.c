/* What is gone, so that `verify` does not take it for lost or made up: how far the table was
 * pruned, and the dead letters that were removed. */
#include "store/sqlite/internal.h"

#include "base/clock.h"

/* The mark is so much younger than the prune's own bound. */
static const int64_t AHEAD_US = 60 * US_PER_SECOND;

/* *ret_there: the marks have their table. */
static int look(struct store_sqlite *s, bool *ret_there, struct error *err)
{
    return store_sqlite_look(s, ret_there, err) ||
                   (*ret_there && sqlite_has_table(s->db, "commitrelay_pruned", ret_there, err))
               ? RESULT_ERROR
               : RESULT_DONE;
}

int store_sqlite_note_pruned(void *store, const char *table, int64_t older_than_us,
                             struct error *err)
{
    struct store_sqlite *s = store;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    char before[CLOCK_RFC3339_SIZE];
    bool there;
    if (look(s, &there, err)) {
        return RESULT_ERROR;
    }
    if (!there) {
        return error_set(err, ERROR_CONFIG, "sqlite",
                         "the relay's tables in \"%s\" are an earlier version's, and take no note "
                         "of what is pruned: start the relay once with this version",
                         s->path);
    }
    clock_format_rfc3339(clock_wall_us() + AHEAD_US - older_than_us, before);
    if (sqlite_prepare(s->db,
                       "INSERT INTO commitrelay_pruned (source_table, pruned_before) VALUES (?1, "
                       "?2) ON CONFLICT DO UPDATE SET pruned_before = max(pruned_before, "
                       "excluded.pruned_before)",
                       &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(q, 1, slice_from(table));
    sqlite_bind_text(q, 2, slice_from(before));
    return sqlite_run(q, err);
}

int store_sqlite_pruned(void *store, const char *table, int64_t *ret_us, struct error *err)
{
    struct store_sqlite *s = store;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool there, row;
    *ret_us = TIME_NONE;
    if (look(s, &there, err)) {
        return RESULT_ERROR;
    }
    if (!there) {
        return RESULT_DONE;
    }
    if (sqlite_prepare(s->db,
                       "SELECT pruned_before FROM commitrelay_pruned WHERE source_table = ?1", &q,
                       err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(q, 1, slice_from(table));
    if (sqlite_step(q, &row, err)) {
        return RESULT_ERROR;
    }
    if (row) {
        (void)clock_parse_timestamp(sqlite_value(q, 0), ret_us);
    }
    return RESULT_DONE;
}

int store_sqlite_removed_letters(void *store,
                                 int (*each)(void *ctx, struct slice event_id, int64_t edits),
                                 void *ctx, struct error *err)
{
    struct store_sqlite *s = store;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool there, letters = false, row = true;
    if (store_sqlite_look(s, &there, err) ||
        (there && store_sqlite_has_letters(s, &letters, err)) ||
        (letters &&
         store_sqlite_prepare(s,
                              "SELECT event_id, edits FROM commitrelay_dead_letters WHERE "
                              "pipeline = ?1 AND part = ?2 AND state = '" STORE_LETTER_REMOVED "'",
                              &q, err))) {
        return RESULT_ERROR;
    }
    while (q && row) {
        if (sqlite_step(q, &row, err)) {
            return RESULT_ERROR;
        }
        int rc = row ? each(ctx, sqlite_value(q, 0), sqlite_int(q, 1)) : RESULT_DONE;
        if (rc) {
            return rc;
        }
    }
    return RESULT_DONE;
}
