/*
 * Opens the file, makes the store's tables in it, and prepares statements with the pipeline's key
 * bound.
 */
#include "store/sqlite/internal.h"

#include "schema/schema.h"

#include <stdio.h>

void store_sqlite_disconnect(struct store_sqlite *s)
{
    struct sqlite_stmt **const all[] = {&s->save, &s->state, &s->control};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sqlite_stmt_free(*all[i]);
        *all[i] = NULL;
    }
    sqlite_close(s->db);
    s->db = NULL;
    s->tables = false;
}

int store_sqlite_replaced(struct store_sqlite *s, struct error *err)
{
    error_set(err, ERROR_RETRY, "sqlite",
              "SQLite database \"%s\" was deleted or replaced; it is opened again", s->path);
    return error_code(err, "replaced");
}

int store_sqlite_connect(struct store_sqlite *s, bool create, struct error *err)
{
    if (s->db && sqlite_replaced(s->db)) {
        if (s->lock_fd >= 0) {
            return store_sqlite_replaced(s, err); /* only `start` may go on with another file */
        }
        store_sqlite_disconnect(s);
    }
    if (s->db) {
        return RESULT_DONE;
    }
    struct sqlite_options opt = {.path = s->path,
                                 .create = create,
                                 .patience_us = s->env->observe ? s->env->read_timeout_us
                                                                : STORE_SQLITE_PATIENCE_US,
                                 .stop_fd = s->env->stop_fd};
    return sqlite_open(&opt, &s->db, err);
}

int store_sqlite_has_tables(struct store_sqlite *s, bool *ret, struct error *err)
{
    int64_t n;
    if (sqlite_query_int(
            s->db,
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN "
            "('commitrelay_meta', "
            "'commitrelay_positions', 'commitrelay_control', 'commitrelay_dead_letters')",
            0, &n, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    *ret = n == 4;
    return RESULT_DONE;
}

int store_sqlite_look(struct store_sqlite *s, bool *ret_there, struct error *err)
{
    bool missing = false;
    if (s->env->create && !s->db && sqlite_path_check(s->path, &missing, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    if (missing) {
        *ret_there = false;
        return RESULT_DONE;
    }
    return store_sqlite_connect(s, false, err) == RESULT_DONE
               ? store_sqlite_has_tables(s, ret_there, err)
               : RESULT_ERROR;
}

/* Does the table of dead letters have the columns for a whole event? A file of an earlier version
 * lacks them. */
static int has_columns(struct store_sqlite *s, bool *ret, struct error *err)
{
    int64_t n;
    if (sqlite_query_int(s->db,
                         "SELECT count(*) FROM pragma_table_info('commitrelay_dead_letters') WHERE "
                         "name = 'payload_kind'",
                         0, &n, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    *ret = n > 0;
    return RESULT_DONE;
}

static int add_columns(struct store_sqlite *s, struct error *err)
{
    bool there;
    if (has_columns(s, &there, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    return there ? RESULT_DONE
                 : sqlite_exec(s->db,
                               "ALTER TABLE commitrelay_dead_letters ADD COLUMN aggregatetype text;"
                               "ALTER TABLE commitrelay_dead_letters ADD COLUMN aggregateid text;"
                               "ALTER TABLE commitrelay_dead_letters ADD COLUMN type text;"
                               "ALTER TABLE commitrelay_dead_letters ADD COLUMN created_at text;"
                               "ALTER TABLE commitrelay_dead_letters ADD COLUMN payload_kind text;",
                               err);
}

int store_sqlite_make_tables(struct store_sqlite *s, struct error *err)
{
    if (sqlite_begin(s->db, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    if (sqlite_exec(s->db, schema_sqlite_relay, err) != RESULT_DONE ||
        add_columns(s, err) != RESULT_DONE) {
        sqlite_rollback(s->db);
        return RESULT_ERROR;
    }
    return sqlite_commit(s->db, err);
}

int store_sqlite_ensure_tables(struct store_sqlite *s, struct error *err)
{
    if (s->tables) {
        return RESULT_DONE;
    }
    bool there, whole = true;
    if (store_sqlite_has_tables(s, &there, err) != RESULT_DONE ||
        (there && has_columns(s, &whole, err) != RESULT_DONE)) {
        return RESULT_ERROR;
    }
    if (!(there && whole) && store_sqlite_make_tables(s, err) != RESULT_DONE) {
        return err->exit_code == EXIT_CODE_PERMISSION
                   ? error_prefix(
                         err,
                         "the relay's tables are missing; run `commitrelay init --source sqlite:%s` as the file's owner (--print shows the SQL)",
                         s->path)
                   : RESULT_ERROR;
    }
    s->tables = true;
    return RESULT_DONE;
}

void store_sqlite_bind_key(struct store_sqlite *s, struct sqlite_stmt *q)
{
    sqlite_bind_text(q, 1, slice_from(s->env->pipeline));
    sqlite_bind_text(q, 2, slice_from(s->env->part));
}

int store_sqlite_prepare(struct store_sqlite *s, const char *sql, struct sqlite_stmt **ret,
                         struct error *err)
{
    if (!*ret && sqlite_prepare(s->db, sql, ret, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    store_sqlite_bind_key(s, *ret);
    return RESULT_DONE;
}

int store_sqlite_number(struct store_sqlite *s, const char *sql, int64_t *ret, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool there, row = false;
    if (store_sqlite_look(s, &there, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    if (there && (store_sqlite_prepare(s, sql, &q, err) != RESULT_DONE ||
                  sqlite_step(q, &row, err) != RESULT_DONE)) {
        return RESULT_ERROR;
    }
    *ret = row ? sqlite_int(q, 0) : 0;
    return RESULT_DONE;
}

/* Another file's position belongs to other events. Sets s->identity the first time. */
int store_sqlite_check_identity(struct store_sqlite *s, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    char found[sizeof s->identity] = "";
    bool there, row = false;
    if (store_sqlite_has_tables(s, &there, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    if (there &&
        (sqlite_prepare(s->db, "SELECT value FROM commitrelay_meta WHERE name = 'identity'", &q,
                        err) != RESULT_DONE ||
         sqlite_step(q, &row, err) != RESULT_DONE)) {
        return RESULT_ERROR;
    }
    if (row) {
        snprintf(found, sizeof found, "%.*s", SLICE_FMT(sqlite_value(q, 0)));
    }
    if (s->identity[0] && strcmp(s->identity, found) != 0) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "sqlite",
            "\"%s\" is another database than the one this relay started with; events of the old file may be undelivered: put it back, or restart the relay to go on with the new one",
            s->path);
    }
    memcpy(s->identity, found, sizeof found);
    return RESULT_DONE;
}
