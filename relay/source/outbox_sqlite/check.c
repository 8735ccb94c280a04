/*
 * `check --connect`: reports each fault of the real file and table, with what mends it. Changes
 * nothing.
 */
#include "source/outbox_sqlite/internal.h"

#include "schema/schema.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A reader also writes beside the database: -shm always, -wal and -journal when it recovers.
 * Without the rights it fails. */
static void check_permissions(const struct outbox_sqlite *s, const char *path,
                              finding_report *report, void *ctx)
{
    static const char *const companions[] = {"", "-wal", "-shm", "-journal"};
    char text[512];
    CLEANUP(buf_release) struct buf name = {0};
    for (size_t i = 0; i < sizeof companions / sizeof *companions; i++) {
        buf_clear(&name);
        buf_printf(&name, "%s%s", path, companions[i]);
        if (access(buf_str(&name), F_OK) == 0 && access(buf_str(&name), R_OK | W_OK) != 0) {
            snprintf(text, sizeof text, "\"%.400s\" cannot be read and written by this user",
                     buf_str(&name));
            report(ctx, EXIT_CODE_PERMISSION, text,
                   "give relay and application one group, umask 0007, and a setgid directory");
        }
    }
    buf_clear(&name);
    const char *slash = strrchr(path, '/');
    buf_add(&name, path, slash ? (size_t)(slash - path) + 1 : 0);
    if (access(buf_str(&name), W_OK | X_OK) != 0) {
        snprintf(text, sizeof text,
                 "no files can be made in the directory of \"%.400s\" by this user", s->conf->path);
        report(
            ctx, EXIT_CODE_PERMISSION, text,
            "give relay and application one group and make the directory group-writable and setgid");
    }
}

static int check_journal(struct outbox_sqlite *s, struct sqlite *db, finding_report *report,
                         void *ctx, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row;
    if (sqlite_prepare(db, "PRAGMA journal_mode", &q, err) || sqlite_step(q, &row, err)) {
        return RESULT_ERROR;
    }
    if (row && !slice_equal_str(sqlite_value(q, 0), "wal")) {
        char text[512];
        snprintf(
            text, sizeof text,
            "\"%.300s\" has journal_mode=%.*s: it works, but readers and writers wait for each other",
            s->conf->path, SLICE_FMT(sqlite_value(q, 0)));
        report(ctx, 0, text, "PRAGMA journal_mode=WAL");
    }
    return RESULT_DONE;
}

/* Two rows with the same id are both sent, but a consumer that drops repeated ids drops the second.
 * A primary key of one integer column has no index of its own, so it is looked for separately. */
static int check_ids(struct outbox_sqlite *s, struct sqlite *db, const char *table,
                     finding_report *report, void *ctx, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row;
    if (sqlite_prepare(db, schema_sql_sqlite_unique_id, &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(q, 1, slice_from(table));
    sqlite_bind_text(q, 2, slice_from(s->conf->columns.id));
    if (sqlite_step(q, &row, err)) {
        return RESULT_ERROR;
    }
    if (!row) {
        char text[512];
        snprintf(
            text, sizeof text,
            "column \"%.100s\" of table \"%.100s\" is not unique: of two rows with one id consumers drop the second",
            s->conf->columns.id, table);
        report(ctx, 0, text, "CREATE UNIQUE INDEX ... on that column");
    }
    return RESULT_DONE;
}

/* The time of the first row that would be sent goes to s->oldest_us; the sink's check compares it
 * with its own limits on age. */
static int find_oldest(struct outbox_sqlite *s, struct sqlite *db,
                       const struct outbox_sqlite_table *table, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row, stored = s->mode->has_positions && s->env->stored;
    if (sqlite_prepare(db, table->page, &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(q, 1, stored ? outbox_sqlite_cursor_last(*s->env->stored) : INT64_MIN);
    sqlite_bind_int(q, 2, 1);
    if (sqlite_step(q, &row, err)) {
        return sqlite_is_too_big(err) ? RESULT_DONE : RESULT_ERROR;
    }
    struct slice created = row ? sqlite_value(q, COL_CREATED_AT) : SLICE_NULL;
    if (slice_is_null(created) || !clock_parse_timestamp(created, &s->oldest_us)) {
        s->oldest_us = TIME_NONE;
    }
    return RESULT_DONE;
}

static int look(struct outbox_sqlite *s, struct sqlite *db, finding_report *report, void *ctx,
                struct error *err)
{
    struct outbox_sqlite_table table = {0};
    unsigned faults;
    arena_init(&table.arena);
    check_permissions(s, sqlite_path(db), report, ctx);
    int r = outbox_sqlite_inspect(s, db, &table, report, ctx, &faults, err);
    if (r == RESULT_DONE && faults == 0 && s->conf->prune.given && !table.aged) {
        struct error fault;
        (void)outbox_sqlite_refuse_prune(s->conf, &fault);
        report(ctx, fault.exit_code, fault.text, "");
    }
    if (r == RESULT_DONE && faults == 0) {
        r = check_ids(s, db, table.name, report, ctx, err);
        r = r == RESULT_DONE ? find_oldest(s, db, &table, err) : r;
    }
    arena_release(&table.arena);
    return r == RESULT_DONE ? check_journal(s, db, report, ctx, err) : r;
}

int outbox_sqlite_check(void *source, finding_report *report, void *ctx, struct error *err)
{
    struct outbox_sqlite *s = source;
    struct sqlite *db;
    struct sqlite_options opt = {
        .path = s->conf->path, .patience_us = s->conf->read_timeout_us, .stop_fd = s->env->stop_fd};
    if (sqlite_open(&opt, &db, err)) {
        return RESULT_ERROR;
    }
    int r = look(s, db, report, ctx, err);
    sqlite_close(db);
    return r;
}
