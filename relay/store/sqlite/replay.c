/*
 * Replays in SQLite: a row each, beside the pipelines' positions. No lock: the row's epoch, which
 * each start raises, tells two processes apart that go on with the same replay.
 */
#include "store/sqlite/internal.h"

#include "base/clock.h"

#include <stdio.h>

/* *ret: the table is there. It came after the others, so a file of an earlier version may lack it.
 */
static int look(struct store_sqlite *s, bool *ret, struct error *err)
{
    *ret = false;
    if (store_sqlite_look(s, ret, err)) {
        return RESULT_ERROR;
    }
    return *ret ? sqlite_has_table(s->db, "commitrelay_replays", ret, err) : RESULT_DONE;
}

static int run(struct store_sqlite *s, const char *sql, const char *id, struct slice asked,
               struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    if (store_sqlite_prepare(s, sql, &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(q, 3, slice_from(id));
    if (!slice_is_null(asked)) {
        sqlite_bind_text(q, 4, asked);
    }
    return sqlite_run(q, err);
}

int store_sqlite_replay_add(void *store, const char *id, struct slice asked, struct error *err)
{
    struct store_sqlite *s = store;
    bool there;
    if (look(s, &there, err) ||
        (!there && (store_sqlite_connect(s, false, err) || store_sqlite_make_tables(s, err))) ||
        run(s,
            "DELETE FROM commitrelay_replays WHERE pipeline = ?1 AND part = ?2 AND id <> ?3 AND "
            "julianday(coalesce(saved_at, started_at)) < julianday('now') - 30",
            id, SLICE_NULL, err) ||
        run(s,
            "INSERT INTO commitrelay_replays (pipeline, part, id, asked) VALUES (?1, ?2, ?3, ?4) "
            "ON CONFLICT DO NOTHING",
            id, asked, err)) {
        return RESULT_ERROR;
    }
    return sqlite_changes(s->db) == 1
               ? RESULT_DONE
               : error_set(
                     err, ERROR_CONFIG, "sqlite",
                     "pipeline %s has a replay %s already: go on with it (--resume), or choose "
                     "another id",
                     s->env->pipeline, id);
}

int store_sqlite_replay_list(void *store, int (*each)(void *ctx, const struct store_replay *r),
                             void *ctx, struct error *err)
{
    struct store_sqlite *s = store;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row;
    if (look(s, &row, err)) {
        return RESULT_ERROR;
    }
    if (row &&
        store_sqlite_prepare(
            s,
            "SELECT id, asked, delivered, started_at, saved_at FROM commitrelay_replays WHERE "
            "pipeline = ?1 AND part = ?2 ORDER BY started_at, id",
            &q, err)) {
        return RESULT_ERROR;
    }
    int rc = 0;
    while (row && rc == 0) {
        if (sqlite_step(q, &row, err)) {
            return RESULT_ERROR;
        }
        if (!row) {
            break;
        }
        struct store_replay one = {.asked = sqlite_value(q, 1),
                                   .delivered = (uint64_t)sqlite_int(q, 2),
                                   .started_us = TIME_NONE,
                                   .saved_us = TIME_NONE};
        snprintf(one.id, sizeof one.id, "%.*s", SLICE_FMT(sqlite_value(q, 0)));
        (void)clock_parse_timestamp(sqlite_value(q, 3), &one.started_us);
        (void)clock_parse_timestamp(sqlite_value(q, 4), &one.saved_us);
        rc = each(ctx, &one);
    }
    return rc;
}

static int load(struct store_sqlite *s, const char *id, struct store_position *ret,
                struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row;
    if (run(s,
            "UPDATE commitrelay_replays SET epoch = epoch + 1 WHERE pipeline = ?1 AND part = ?2 AND "
            "id = ?3",
            id, SLICE_NULL, err) ||
        store_sqlite_prepare(s,
                             "SELECT cursor, delivered, epoch FROM commitrelay_replays WHERE "
                             "pipeline = ?1 AND part = ?2 AND id = ?3",
                             &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(q, 3, slice_from(id));
    if (sqlite_step(q, &row, err)) {
        return RESULT_ERROR;
    }
    if (!row) {
        return error_exit(err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "sqlite",
                          "the store of pipeline %s has no replay %s (any more)", s->env->pipeline,
                          id);
    }
    buf_clear(&ret->cursor);
    buf_add_slice(&ret->cursor, sqlite_value(q, 0));
    ret->delivered = (uint64_t)sqlite_int(q, 1);
    ret->epoch = sqlite_int(q, 2);
    return RESULT_DONE;
}

int store_sqlite_replay_start(void *store, const char *id, struct store_position *ret,
                              struct error *err)
{
    struct store_sqlite *s = store;
    s->saving = false;
    store_sqlite_disconnect(s);
    if (store_sqlite_connect(s, false, err) || store_sqlite_check_identity(s, err) ||
        sqlite_begin(s->db, err)) {
        return RESULT_ERROR;
    }
    if (load(s, id, ret, err)) {
        sqlite_rollback(s->db);
        return RESULT_ERROR;
    }
    s->epoch = ret->epoch;
    snprintf(s->replay, sizeof s->replay, "%s", id);
    return sqlite_commit(s->db, err);
}

int store_sqlite_replay_prepare(struct store_sqlite *s, struct error *err)
{
    if (store_sqlite_prepare(
            s,
            "UPDATE commitrelay_replays SET cursor = ?3, delivered = ?4, saved_at = ?5 "
            "WHERE pipeline = ?1 AND part = ?2 AND epoch = ?6 AND id = ?7",
            &s->save, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(s->save, 7, slice_from(s->replay));
    return RESULT_DONE;
}

int store_sqlite_replay_overtaken(struct store_sqlite *s, struct error *err)
{
    return error_exit(err, ERROR_FATAL, EXIT_CODE_GAVE_UP, "sqlite",
                      "another process goes on with replay %s (or it was removed): this one ends",
                      s->replay);
}

int store_sqlite_replay_end(void *store, const char *id, struct error *err)
{
    struct store_sqlite *s = store;
    bool there;
    if (look(s, &there, err)) {
        return RESULT_ERROR;
    }
    return there ? run(s,
                       "DELETE FROM commitrelay_replays WHERE pipeline = ?1 AND part = ?2 AND "
                       "id = ?3",
                       id, SLICE_NULL, err)
                 : RESULT_DONE;
}
