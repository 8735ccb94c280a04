/*
 * The store in SQLite: keeps a pipeline's cursor in a SQLite file. This file starts, saves and
 * observes. A save is durable when `saved` answers DONE, and the same statement compares the epoch.
 * A save waits 10 ms for a lock at most and is then tried again later.
 */
#include "store/sqlite/internal.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAVE_PATIENCE_US = 10 * 1000, SAVE_INTERVAL_US = 5 * 1000 };

static int store_open(const struct store_env *env, void **ret_store, struct error *err)
{
    const char *path = sqlite_url_path(env->url);
    if (!path) {
        return error_set(err, ERROR_CONFIG, "sqlite", "\"%s\" is no SQLite URL; give sqlite:PATH",
                         env->url);
    }
    struct store_sqlite *s = memory_need(calloc(1, sizeof *s));
    s->env = env;
    s->path = path;
    s->lock_fd = -1;
    *ret_store = s;
    return RESULT_DONE;
}

static void store_close(void *store)
{
    struct store_sqlite *s = store;
    if (!s) {
        return;
    }
    store_sqlite_disconnect(s);
    store_sqlite_unlock(s);
    buf_release(&s->cursor);
    free(s);
}

static void copy_text(char *out, size_t size, struct slice text)
{
    snprintf(out, size, "%.*s", SLICE_FMT(text));
}

/* Reads the stored position. *ret stays as it was if this fails. */
static int load(struct store_sqlite *s, struct store_position *ret, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row;
    if (store_sqlite_prepare(
            s,
            "SELECT cursor, delivered, epoch, saved_at, state, detail FROM commitrelay_positions "
            "WHERE pipeline = ?1 AND part = ?2",
            &q, err) ||
        sqlite_step(q, &row, err)) {
        return RESULT_ERROR;
    }
    buf_clear(&ret->cursor);
    ret->delivered = 0;
    ret->epoch = 0;
    ret->saved_at_us = TIME_NONE;
    ret->state[0] = ret->detail[0] = '\0';
    if (row) {
        buf_add_slice(&ret->cursor, sqlite_value(q, 0));
        ret->delivered = (uint64_t)sqlite_int(q, 1);
        ret->epoch = sqlite_int(q, 2);
        (void)clock_parse_timestamp(sqlite_value(q, 3), &ret->saved_at_us);
        copy_text(ret->state, sizeof ret->state, sqlite_value(q, 4));
        copy_text(ret->detail, sizeof ret->detail, sqlite_value(q, 5));
    }
    return RESULT_DONE;
}

/* Raises the epoch, says what the pipeline reads, and loads the position, in one transaction, so
 * that no other relay can raise the epoch in between. */
static int raise_epoch(struct store_sqlite *s, struct store_position *ret, struct error *err)
{
    const struct outbox_rows *rows = &s->env->rows;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    if (store_sqlite_prepare(
            s,
            "INSERT INTO commitrelay_positions (pipeline, part, epoch, source_table, source_mode) "
            "VALUES (?1, ?2, 1, ?3, ?4) ON CONFLICT DO UPDATE SET epoch = epoch + 1, "
            "source_table = excluded.source_table, source_mode = excluded.source_mode",
            &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(q, 3, slice_from(rows->table ? rows->table : ""));
    sqlite_bind_text(q, 4, slice_from(rows->mode ? rows->mode : ""));
    if (sqlite_run(q, err) || load(s, ret, err) || store_sqlite_history_start(s, err)) {
        return RESULT_ERROR;
    }
    return sqlite_commit(s->db, err);
}

static int prepare_file(struct store_sqlite *s, struct error *err)
{
    if (store_sqlite_connect(s, s->env->create, err)) {
        return RESULT_ERROR;
    }
    int r = store_sqlite_lock(s, err);
    if (r) {
        return r;
    }
    /* Checked before tables are made, so that another database is not changed; and again
     * afterwards, to read the identity that new tables bring with them. */
    if (store_sqlite_check_identity(s, err) || store_sqlite_ensure_tables(s, err) ||
        store_sqlite_check_identity(s, err)) {
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

static int store_start(void *store, struct store_position *ret, struct error *err)
{
    struct store_sqlite *s = store;
    s->saving = false;
    store_sqlite_disconnect(s);
    int r = prepare_file(s, err);
    if (r) {
        return r;
    }
    if (sqlite_begin(s->db, err)) {
        return RESULT_ERROR;
    }
    if (raise_epoch(s, ret, err)) {
        sqlite_rollback(s->db);
        return RESULT_ERROR;
    }
    ret->locked = true;
    snprintf(ret->origin, sizeof ret->origin, "SQLite database %s (%s)", s->identity, s->path);
    s->epoch = ret->epoch;
    return RESULT_DONE;
}

static int store_observe(void *store, struct store_position *ret, struct error *err)
{
    struct store_sqlite *s = store;
    bool there;
    if (store_sqlite_look(s, &there, err) || (s->db && store_sqlite_lock_held(s, ret, err))) {
        return RESULT_ERROR;
    }
    ret->absent = !there;
    if (!there) {
        buf_clear(&ret->cursor);
        ret->saved_at_us = TIME_NONE;
        return RESULT_DONE;
    }
    return load(s, ret, err);
}

static int overtaken(struct store_sqlite *s, struct error *err)
{
    return error_exit(
        err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "sqlite",
        "another relay has taken over pipeline \"%s\" in \"%s\" (our epoch was %lld); this one saves nothing more: run only one",
        s->env->pipeline, s->path, (long long)s->epoch);
}

/* One statement, and so one transaction, compares the epoch and changes the row under the write
 * lock. */
static int write_position(struct store_sqlite *s, struct error *err)
{
    char now[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_wall_us(), now);
    int r = s->replay[0]
                ? store_sqlite_replay_prepare(s, err)
                : store_sqlite_prepare(
                      s,
                      "UPDATE commitrelay_positions SET cursor = ?3, delivered = ?4, saved_at = ?5 "
                      "WHERE pipeline = ?1 AND part = ?2 AND epoch = ?6",
                      &s->save, err);
    if (r) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(s->save, 3, buf_slice(&s->cursor));
    sqlite_bind_int(s->save, 4, (int64_t)s->delivered);
    sqlite_bind_text(s->save, 5, slice_from(now));
    sqlite_bind_int(s->save, 6, s->epoch);
    if (sqlite_run(s->save, err)) {
        return RESULT_ERROR;
    }
    if (sqlite_changes(s->db) == 1) {
        return RESULT_DONE;
    }
    return s->replay[0] ? store_sqlite_replay_overtaken(s, err) : overtaken(s, err);
}

/* The same, and a line of the history, in one transaction. */
static int write_and_note(struct store_sqlite *s, struct error *err)
{
    if (sqlite_begin(s->db, err)) {
        return RESULT_ERROR;
    }
    if (write_position(s, err) || store_sqlite_history_note(s, err)) {
        sqlite_rollback(s->db);
        return RESULT_ERROR;
    }
    if (sqlite_commit(s->db, err)) {
        return RESULT_ERROR;
    }
    store_sqlite_history_noted(s);
    return RESULT_DONE;
}

static int write_state(struct store_sqlite *s, const char *state, const char *detail,
                       struct error *err)
{
    if (store_sqlite_prepare(s,
                             "UPDATE commitrelay_positions SET state = ?3, detail = ?4 WHERE "
                             "pipeline = ?1 AND part = "
                             "?2 AND epoch = ?5",
                             &s->state, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(s->state, 3, slice_from(state));
    sqlite_bind_text(s->state, 4, slice_from(detail));
    sqlite_bind_int(s->state, 5, s->epoch);
    return sqlite_run(s->state, err);
}

static int not_started(struct store_sqlite *s, struct error *err)
{
    return error_set(err, ERROR_RETRY, "sqlite",
                     "SQLite database \"%s\" is not open; it is opened again", s->path);
}

static int try_save(struct store_sqlite *s, struct error *err)
{
    int64_t now = clock_mono_us();
    sqlite_set_patience(s->db, SAVE_PATIENCE_US);
    int r = store_sqlite_history_due(s) ? write_and_note(s, err) : write_position(s, err);
    sqlite_set_patience(s->db, STORE_SQLITE_PATIENCE_US);
    if (r == RESULT_DONE) {
        s->saving = false;
        return RESULT_DONE;
    }
    if (sqlite_is_busy(err) && now - s->save_since_us < s->env->read_timeout_us) {
        s->save_next_us = now + SAVE_INTERVAL_US;
        error_clear(err);
        return RESULT_AGAIN;
    }
    s->saving = false;
    return RESULT_ERROR;
}

static int store_save(void *store, struct slice cursor, uint64_t delivered, struct error *err)
{
    struct store_sqlite *s = store;
    if (!s->db) {
        return not_started(s, err);
    }
    if (sqlite_replaced(s->db)) {
        return store_sqlite_replaced(s, err);
    }
    buf_clear(&s->cursor);
    buf_add_slice(&s->cursor, cursor);
    s->delivered = delivered;
    s->saving = true;
    s->save_since_us = clock_mono_us();
    return try_save(s, err) == RESULT_ERROR ? RESULT_ERROR : RESULT_DONE;
}

static int store_saved(void *store, struct error *err)
{
    struct store_sqlite *s = store;
    if (!s->db) {
        return s->saving ? not_started(s, err) : RESULT_DONE;
    }
    if (!s->saving) {
        return RESULT_DONE;
    }
    return clock_mono_us() >= s->save_next_us ? try_save(s, err) : RESULT_AGAIN;
}

static void store_poll_fds(void *store, struct poll_set *set)
{
    const struct store_sqlite *s = store;
    if (s->saving) {
        poll_set_deadline(set, s->save_next_us);
    }
}

static int store_report_state(void *store, const char *state, const char *detail, struct error *err)
{
    struct store_sqlite *s = store;
    if (!s->db || !s->tables) {
        return RESULT_DONE; /* before the first start there is no row */
    }
    sqlite_set_patience(s->db, SAVE_PATIENCE_US);
    int r = write_state(s, state, detail, err);
    sqlite_set_patience(s->db, STORE_SQLITE_PATIENCE_US);
    if (r && sqlite_is_busy(err)) {
        error_clear(err);
        return RESULT_AGAIN;
    }
    return r;
}

const struct store_ops store_sqlite = {
    .name = "sqlite",
    .url = {.value = sqlite_url_path},
    .positions = "commitrelay_positions",
    .dead_letters = "commitrelay_dead_letters",
    .open = store_open,
    .start = store_start,
    .observe = store_observe,
    .poll_fds = store_poll_fds,
    .save = store_save,
    .saved = store_saved,
    .history_list = store_sqlite_history_list,
    .history_at = store_sqlite_history_at,
    .forget = store_sqlite_forget,
    .report_state = store_report_state,
    .control_take = store_sqlite_control_take,
    .control_answer = store_sqlite_control_answer,
    .control_put = store_sqlite_control_put,
    .control_look = store_sqlite_control_look,
    .set_paused = store_sqlite_set_paused,
    .get_paused = store_sqlite_get_paused,
    .dead_letter_put = store_sqlite_dead_put,
    .dead_letter_count = store_sqlite_dead_count,
    .dead_letter_list = store_sqlite_dead_list,
    .dead_letter_close = store_sqlite_dead_close,
    .dead_letter_failed = store_sqlite_dead_failed,
    .dead_letter_edit = store_sqlite_dead_edit,
    .dead_letter_expire = store_sqlite_dead_expire,
    .note_pruned = store_sqlite_note_pruned,
    .pruned = store_sqlite_pruned,
    .removed_letters = store_sqlite_removed_letters,
    .waiting_put = store_sqlite_waiting_put,
    .parked_list = store_sqlite_parked_list,
    .waiting_ids = store_sqlite_waiting_ids,
    .waiting_list = store_sqlite_waiting_list,
    .waiting_sent = store_sqlite_waiting_sent,
    .waiting_failed = store_sqlite_waiting_failed,
    .replay_add = store_sqlite_replay_add,
    .replay_list = store_sqlite_replay_list,
    .replay_start = store_sqlite_replay_start,
    .replay_end = store_sqlite_replay_end,
    .close = store_close,
};
