/*
 * Opens the file, makes the store's tables in it, and prepares statements with the pipeline's key
 * bound.
 */
#include "store/sqlite/internal.h"

#include "schema/schema.h"

#include <stdio.h>
#include <string.h>

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
    static const char *const names[] = {"commitrelay_meta", "commitrelay_positions",
                                        "commitrelay_control", "commitrelay_dead_letters"};
    *ret = true;
    for (size_t i = 0; *ret && i < sizeof names / sizeof *names; i++) {
        if (sqlite_has_table(s->db, names[i], ret, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

int store_sqlite_look(struct store_sqlite *s, bool *ret_there, struct error *err)
{
    bool missing = false;
    if (s->env->create && !s->db && sqlite_path_check(s->path, &missing, err)) {
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

/* Columns that a file of an earlier version lacks, as ALTER TABLE adds them. */
static const struct {
    const char *table, *column;
} later_columns[] = {
    {"commitrelay_positions", "source_table text"},
    {"commitrelay_positions", "source_mode text"},
    {"commitrelay_control", "who text not null default ''"},
    {"commitrelay_dead_letters", "aggregatetype text"},
    {"commitrelay_dead_letters", "aggregateid text"},
    {"commitrelay_dead_letters", "type text"},
    {"commitrelay_dead_letters", "created_at text"},
    {"commitrelay_dead_letters", "payload_kind text"},
    {"commitrelay_dead_letters", "partition integer"},
    {"commitrelay_dead_letters", "closed_at text"},
    {"commitrelay_dead_letters", "edited integer not null default 0"},
    {"commitrelay_dead_letters", "edited_topic text"},
    {"commitrelay_dead_letters", "edited_key blob"},
    {"commitrelay_dead_letters", "edited_headers text"},
    {"commitrelay_dead_letters", "edited_payload blob"},
    {"commitrelay_dead_letters", "edits integer not null default 0"},
    {"commitrelay_dead_letters", "parks integer not null default 0"},
};
enum { LATER_COLUMNS = sizeof later_columns / sizeof *later_columns };

static int has_column(struct store_sqlite *s, const char *table, const char *column, bool *ret,
                      struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    int64_t n;
    buf_printf(&sql, "SELECT count(*) FROM pragma_table_info('%s') WHERE name = '%.*s'", table,
               (int)strcspn(column, " "), column);
    if (sqlite_query_int(s->db, buf_str(&sql), 0, &n, err)) {
        return RESULT_ERROR;
    }
    *ret = n > 0;
    return RESULT_DONE;
}

/* *ret: none of these columns is missing. `table`: only its; NULL: of all tables. */
static int has_columns(struct store_sqlite *s, const char *table, bool *ret, struct error *err)
{
    *ret = true;
    for (size_t i = 0; *ret && i < LATER_COLUMNS; i++) {
        bool asked = !table || strcmp(table, later_columns[i].table) == 0;
        if (asked && has_column(s, later_columns[i].table, later_columns[i].column, ret, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

int store_sqlite_has_letters(struct store_sqlite *s, bool *ret, struct error *err)
{
    return has_columns(s, "commitrelay_dead_letters", ret, err);
}

/* *ret: nothing is missing that this version keeps. */
static int is_whole(struct store_sqlite *s, bool *ret, struct error *err)
{
    bool history, pruned;
    if (store_sqlite_has_tables(s, ret, err) ||
        sqlite_has_table(s->db, "commitrelay_history", &history, err) ||
        sqlite_has_table(s->db, "commitrelay_pruned", &pruned, err)) {
        return RESULT_ERROR;
    }
    *ret = *ret && history && pruned;
    return *ret ? has_columns(s, NULL, ret, err) : RESULT_DONE;
}

/* Does nothing for a table that is not there yet: it is made with all of them. */
static int add_columns(struct store_sqlite *s, struct error *err)
{
    for (size_t i = 0; i < LATER_COLUMNS; i++) {
        CLEANUP(buf_release) struct buf sql = {0};
        const char *table = later_columns[i].table, *column = later_columns[i].column;
        bool made, there;
        if (has_column(s, table, "pipeline", &made, err) ||
            has_column(s, table, column, &there, err)) {
            return RESULT_ERROR;
        }
        buf_printf(&sql, "ALTER TABLE %s ADD COLUMN %s", table, column);
        if (made && !there && sqlite_exec(s->db, buf_str(&sql), err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

static int move_marks(struct store_sqlite *s, struct error *err)
{
    bool earlier;
    return has_column(s, "commitrelay_positions", "pruned_before", &earlier, err) ||
                   (earlier && sqlite_exec(s->db, schema_sql_sqlite_pruned_move, err))
               ? RESULT_ERROR
               : RESULT_DONE;
}

int store_sqlite_make_tables(struct store_sqlite *s, struct error *err)
{
    if (sqlite_begin(s->db, err)) {
        return RESULT_ERROR;
    }
    /* The columns first, for the file makes an index on one of them. */
    if (add_columns(s, err) || sqlite_exec(s->db, schema_sqlite_relay, err) || move_marks(s, err)) {
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
    bool whole;
    if (is_whole(s, &whole, err)) {
        return RESULT_ERROR;
    }
    if (!whole && store_sqlite_make_tables(s, err)) {
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
    if (!*ret && sqlite_prepare(s->db, sql, ret, err)) {
        return RESULT_ERROR;
    }
    store_sqlite_bind_key(s, *ret);
    return RESULT_DONE;
}

int store_sqlite_number(struct store_sqlite *s, const char *sql, int64_t *ret, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool there, row = false;
    if (store_sqlite_look(s, &there, err)) {
        return RESULT_ERROR;
    }
    if (there && (store_sqlite_prepare(s, sql, &q, err) || sqlite_step(q, &row, err))) {
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
    if (store_sqlite_has_tables(s, &there, err)) {
        return RESULT_ERROR;
    }
    if (there &&
        (sqlite_prepare(s->db, "SELECT value FROM commitrelay_meta WHERE name = 'identity'", &q,
                        err) ||
         sqlite_step(q, &row, err))) {
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
