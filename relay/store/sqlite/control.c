/*
 * Commands to a running relay and their answers, and the paused flag, in rows of the store. A
 * command stays until it is answered.
 */
#include "store/sqlite/internal.h"

#include <stdio.h>

static const char *const command_names[] = {
    [STORE_NO_COMMAND] = "",      [STORE_SET_POSITION] = "set_position",
    [STORE_PAUSE] = "pause",      [STORE_RESUME] = "resume",
    [STORE_RETRY] = "retry",      [STORE_DROP] = "drop",
    [STORE_SNAPSHOT] = "snapshot"};

static enum store_command command_of(struct slice name)
{
    for (size_t i = 1; i < sizeof command_names / sizeof *command_names; i++) {
        if (slice_equal_str(name, command_names[i])) {
            return (enum store_command)i;
        }
    }
    return STORE_NO_COMMAND;
}

static void fill(struct store_control *ret, struct sqlite_stmt *q)
{
    ret->id = sqlite_int(q, 0);
    ret->command = command_of(sqlite_value(q, 1));
    snprintf(ret->argument, sizeof ret->argument, "%.*s", SLICE_FMT(sqlite_value(q, 2)));
    ret->acknowledged = sqlite_int(q, 3) != 0;
    snprintf(ret->answer, sizeof ret->answer, "%.*s", SLICE_FMT(sqlite_value(q, 4)));
    snprintf(ret->who, sizeof ret->who, "%.*s", SLICE_FMT(sqlite_value(q, 5)));
}

/* If the database is locked, answers "no command"; the next look finds the row. */
int store_sqlite_control_take(void *store, struct store_control *ret, struct error *err)
{
    struct store_sqlite *s = store;
    bool row;
    if (store_sqlite_connect(s, false, err) || store_sqlite_ensure_tables(s, err) ||
        store_sqlite_prepare(
            s,
            "SELECT id, command, argument, acknowledged, answer, who FROM commitrelay_control WHERE "
            "acknowledged = 0 AND pipeline = ?1 AND part = ?2 ORDER BY id LIMIT 1",
            &s->control, err)) {
        return RESULT_ERROR;
    }
    sqlite_set_patience(s->db, 0);
    int r = sqlite_step(s->control, &row, err);
    sqlite_set_patience(s->db, STORE_SQLITE_PATIENCE_US);
    if (r) {
        if (!sqlite_is_busy(err)) {
            return RESULT_ERROR;
        }
        error_clear(err);
        row = false;
    }
    if (!row) {
        *ret = (struct store_control){0};
        return RESULT_DONE;
    }
    fill(ret, s->control);
    sqlite_reset(s->control);
    return RESULT_DONE;
}

int store_sqlite_control_answer(void *store, int64_t id, const char *answer, struct error *err)
{
    struct store_sqlite *s = store;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    if (store_sqlite_connect(s, false, err) ||
        store_sqlite_prepare(s,
                             "UPDATE commitrelay_control SET acknowledged = 1, answer = ?4 WHERE "
                             "pipeline = ?1 AND part "
                             "= ?2 AND id = ?3",
                             &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(q, 3, id);
    sqlite_bind_text(q, 4, slice_from(answer));
    return sqlite_run(q, err);
}

int store_sqlite_control_put(void *store, enum store_command command, const char *argument,
                             const char *who, int64_t *ret_id, struct error *err)
{
    struct store_sqlite *s = store;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    if (store_sqlite_connect(s, s->env->create, err) || store_sqlite_ensure_tables(s, err) ||
        store_sqlite_prepare(s,
                             "INSERT INTO commitrelay_control (pipeline, part, command, argument, "
                             "who) VALUES (?1, ?2, ?3, ?4, ?5)",
                             &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(q, 3, slice_from(command_names[command]));
    sqlite_bind_text(q, 4, slice_from(argument ? argument : ""));
    sqlite_bind_text(q, 5, slice_from(who));
    if (sqlite_run(q, err)) {
        return RESULT_ERROR;
    }
    *ret_id = sqlite_last_rowid(s->db);
    return RESULT_DONE;
}

int store_sqlite_control_look(void *store, int64_t id, struct store_control *ret, struct error *err)
{
    struct store_sqlite *s = store;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row;
    if (store_sqlite_connect(s, false, err) ||
        store_sqlite_prepare(
            s,
            "SELECT id, command, argument, acknowledged, answer, who FROM commitrelay_control WHERE "
            "pipeline = ?1 AND part = ?2 AND id = ?3",
            &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(q, 3, id);
    if (sqlite_step(q, &row, err)) {
        return RESULT_ERROR;
    }
    if (!row) {
        return error_set(err, ERROR_CONFIG, "sqlite",
                         "command %lld of pipeline \"%s\" is not in \"%s\"", (long long)id,
                         s->env->pipeline, s->path);
    }
    fill(ret, q);
    return RESULT_DONE;
}

int store_sqlite_set_paused(void *store, bool paused, struct error *err)
{
    struct store_sqlite *s = store;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    if (store_sqlite_connect(s, false, err) || store_sqlite_ensure_tables(s, err) ||
        store_sqlite_prepare(
            s,
            "INSERT INTO commitrelay_positions (pipeline, part, paused) VALUES (?1, ?2, ?3) "
            "ON CONFLICT DO UPDATE SET paused = excluded.paused",
            &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(q, 3, paused);
    return sqlite_run(q, err);
}

int store_sqlite_get_paused(void *store, bool *ret, struct error *err)
{
    static const char sql[] =
        "SELECT paused FROM commitrelay_positions WHERE pipeline = ?1 AND part = ?2";
    int64_t paused;
    if (store_sqlite_number(store, sql, &paused, err)) {
        return RESULT_ERROR;
    }
    *ret = paused != 0;
    return RESULT_DONE;
}
