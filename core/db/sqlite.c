/*
 * SQLite connections and statements: opening a file safely, waiting for locks, and the class of
 * each error (judge). db/sqlite.h has the rules.
 */
#include "db/sqlite.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sqlite {
    sqlite3 *db;
    char *path; /* absolute */
    dev_t dev;
    ino_t ino;
    int64_t patience_us;
    int64_t waiting_since_us;
    int stop_fd;
};

static const char *code_name(int rc)
{
    static const char *const names[] = {
        "SQLITE_OK",       "SQLITE_ERROR",     "SQLITE_INTERNAL", "SQLITE_PERM",
        "SQLITE_ABORT",    "SQLITE_BUSY",      "SQLITE_LOCKED",   "SQLITE_NOMEM",
        "SQLITE_READONLY", "SQLITE_INTERRUPT", "SQLITE_IOERR",    "SQLITE_CORRUPT",
        "SQLITE_NOTFOUND", "SQLITE_FULL",      "SQLITE_CANTOPEN", "SQLITE_PROTOCOL",
        "SQLITE_EMPTY",    "SQLITE_SCHEMA",    "SQLITE_TOOBIG",   "SQLITE_CONSTRAINT",
        "SQLITE_MISMATCH", "SQLITE_MISUSE",    "SQLITE_NOLFS",    "SQLITE_AUTH",
        "SQLITE_FORMAT",   "SQLITE_RANGE",     "SQLITE_NOTADB"};
    size_t primary = (size_t)(rc & 0xff);
    return primary < sizeof names / sizeof *names ? names[primary] : "SQLITE_?";
}

/* What an error means: see the table in db/sqlite.h. */
struct verdict {
    enum error_class class;
    int exit_code;
    const char *remedy;
};

/* SQLITE_ERROR stands for many mistakes. Only SQLite's text tells a missing table or column, which
 * the operator can correct, from a bug. */
static struct verdict judge_sql(const char *message)
{
    if (strncmp(message, "no such ", 8) == 0) {
        return (struct verdict){
            ERROR_CONFIG, EXIT_CODE_CONFIG,
            "correct table and columns in the configuration, or make the tables with `commitrelay "
            "init`"};
    }
    return (struct verdict){ERROR_FATAL, EXIT_CODE_BUG,
                            "this is a bug in the relay or a trigger of the database"};
}

static struct verdict judge(int rc, const char *message)
{
    if (rc == SQLITE_READONLY_DBMOVED) {
        return (struct verdict){ERROR_RETRY, EXIT_CODE_GAVE_UP,
                                "the file was moved or replaced; it is opened again"};
    }
    if (rc == SQLITE_IOERR_CORRUPTFS) {
        rc = SQLITE_CORRUPT;
    }
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return (struct verdict){
            ERROR_RETRY, EXIT_CODE_GAVE_UP,
            "another process holds its lock: end long transactions that write to it"};
    case SQLITE_PROTOCOL:
    case SQLITE_SCHEMA:
    case SQLITE_INTERRUPT:
    case SQLITE_NOMEM:
        return (struct verdict){ERROR_RETRY, EXIT_CODE_GAVE_UP, "it is tried again"};
    case SQLITE_FULL:
        return (struct verdict){ERROR_RETRY, EXIT_CODE_IO, "make room on its disk"};
    case SQLITE_IOERR:
        return (struct verdict){ERROR_RETRY, EXIT_CODE_IO, "look at its disk (dmesg)"};
    case SQLITE_CORRUPT:
        return (struct verdict){
            ERROR_FATAL, EXIT_CODE_IO,
            "stop its users, look with `PRAGMA integrity_check`, and restore it"};
    case SQLITE_NOTADB:
        return (struct verdict){ERROR_CONFIG, EXIT_CODE_CONFIG,
                                "correct the path: it is no SQLite database, or encrypted"};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return (struct verdict){
            ERROR_CONFIG, EXIT_CODE_PERMISSION,
            "the relay needs write access to the file, its directory and its -wal and -shm files: "
            "one group, umask 0007, setgid directory"};
    case SQLITE_CANTOPEN:
        return (struct verdict){ERROR_CONFIG, EXIT_CODE_PERMISSION,
                                "the relay must be able to make and write files in its directory "
                                "(-wal, -shm, -journal)"};
    case SQLITE_TOOBIG:
        return (struct verdict){ERROR_POISON, EXIT_CODE_GAVE_UP,
                                "the value is larger than what may be sent"};
    case SQLITE_ERROR:
        return judge_sql(message);
    default:
        return (struct verdict){ERROR_FATAL, EXIT_CODE_BUG,
                                "this is a bug in the relay or a trigger of the database"};
    }
}

/* CANTOPEN because the process has too many open files: no right is missing, so it is RETRY. */
static bool no_descriptors(sqlite3 *db, int rc)
{
    int errnum = db && (rc & 0xff) == SQLITE_CANTOPEN ? sqlite3_system_errno(db) : 0;
    return errnum == EMFILE || errnum == ENFILE;
}

static int fail(sqlite3 *db, const char *path, int rc, struct error *err)
{
    const char *message = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    struct verdict v = judge(rc, message);
    if (no_descriptors(db, rc)) {
        v = (struct verdict){ERROR_RETRY, EXIT_CODE_BUG,
                             "no descriptors are left: raise the limit of the process "
                             "(LimitNOFILE, ulimit -n)"};
    }
    error_exit(err, v.class, v.exit_code, "sqlite", "SQLite database \"%s\": %s; %s", path, message,
               v.remedy);
    return error_code(err, code_name(rc));
}

static int fail_stmt(sqlite3_stmt *s, int rc, struct error *err)
{
    sqlite3 *db = sqlite3_db_handle(s);
    const char *path = sqlite3_db_filename(db, "main");
    return fail(db, path ? path : "", rc, err);
}

bool sqlite_is_busy(const struct error *err)
{
    return error_is(err, "SQLITE_BUSY") || error_is(err, "SQLITE_LOCKED");
}

bool sqlite_is_too_big(const struct error *err)
{
    return error_is(err, "SQLITE_TOOBIG");
}

/* SQLite's busy handler: sleeps a moment. Returns 1 to try for the lock again, 0 to give up,
 * because patience_us have passed or stop_fd is readable. count: 0 at the first call of a wait. */
static int wait_for_lock(void *ctx, int count)
{
    struct sqlite *c = ctx;
    int64_t now = clock_mono_us();
    if (count == 0) {
        c->waiting_since_us = now;
    }
    if (now - c->waiting_since_us >= c->patience_us) {
        return 0;
    }
    struct pollfd stop = {.fd = c->stop_fd, .events = POLLIN};
    return poll(&stop, 1, count < 10 ? 1 : 5) <= 0;
}

void sqlite_set_patience(struct sqlite *c, int64_t us)
{
    c->patience_us = us;
}

static void configure(struct sqlite *c, bool checkpoint, size_t max_value)
{
    enum { WAL_PAGES = 1000 }; /* SQLite's default */
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_handler(c->db, wait_for_lock, c);
    /* Checkpoints are left to the application. The fewer processes write to the main file, the
     * better: see "WAL-reset bug" at sqlite.org/wal.html. */
    sqlite3_wal_autocheckpoint(c->db, checkpoint ? WAL_PAGES : 0);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (max_value > 0 && max_value < INT32_MAX) {
        /* The limit also holds for the rows of the schema, which must stay readable. */
        sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, max_value < 65536 ? 65536 : (int)max_value);
    }
}

/* Reads the first page. SQLite opens files lazily; without this, a file that is no database, or
 * that needs a recovery for which we lack the rights, would fail later, in the middle of the work.
 */
static int first_look(struct sqlite *c, bool need_write, struct error *err)
{
    if (sqlite_exec(
            c,
            "PRAGMA mmap_size = 0; PRAGMA synchronous = FULL; SELECT count(*) FROM sqlite_master",
            err)) {
        return RESULT_ERROR;
    }
    if (need_write && sqlite3_db_readonly(c->db, "main") == 1) {
        return fail(NULL, c->path, SQLITE_READONLY, err);
    }
    return RESULT_DONE;
}

static int open_file(struct sqlite *c, const struct sqlite_options *opt, struct error *err)
{
    CLEANUP(buf_release) struct buf name = {0};
    /* With "./" before it SQLite takes a relative path for a path, and not for a URI ("file:...")
     * or for ":memory:". */
    buf_printf(&name, "%s%s", opt->path[0] == '/' ? "" : "./", opt->path);
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (opt->create ? SQLITE_OPEN_CREATE : 0);
    int rc = sqlite3_open_v2(buf_str(&name), &c->db, flags, NULL);
    if (rc != SQLITE_OK) {
        return fail(c->db, opt->path, rc, err);
    }
    c->path = strdup(sqlite3_db_filename(c->db, "main"));
    if (!c->path) {
        return fail(NULL, opt->path, SQLITE_NOMEM, err);
    }
    configure(c, opt->checkpoint, opt->max_value);
    return RESULT_DONE;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Compares device and inode before and after opening: if somebody replaced the file meanwhile, what
 * was checked is not what was opened. */
static int open_checked(struct sqlite *c, const struct sqlite_options *opt, struct error *err)
{
    bool missing;
    if (sqlite_path_check(opt->path, &missing, err)) {
        return RESULT_ERROR;
    }
    if (missing && !opt->create) {
        return error_set(
            err, ERROR_CONFIG, "sqlite",
            "SQLite database \"%s\" does not exist; correct the path, or make it with `commitrelay init --source sqlite:%s`",
            opt->path, opt->path);
    }
    struct stat before = {0}, after;
    bool known = stat(opt->path, &before) == 0;
    if (open_file(c, opt, err) || first_look(c, opt->need_write, err)) {
        return RESULT_ERROR;
    }
    if (stat(c->path, &after) != 0 || (known && !same_file(&before, &after))) {
        return error_set(
            err, ERROR_RETRY, "sqlite",
            "SQLite database \"%s\" was replaced while it was opened; it is opened again",
            opt->path);
    }
    c->dev = after.st_dev;
    c->ino = after.st_ino;
    return RESULT_DONE;
}

int sqlite_open(const struct sqlite_options *opt, struct sqlite **ret, struct error *err)
{
    struct sqlite *c = calloc(1, sizeof *c);
    if (!c) {
        return fail(NULL, opt->path, SQLITE_NOMEM, err);
    }
    c->patience_us = opt->patience_us;
    c->stop_fd = opt->stop_fd;
    if (open_checked(c, opt, err)) {
        sqlite_close(c);
        return RESULT_ERROR;
    }
    *ret = c;
    return RESULT_DONE;
}

int sqlite_open_scratch(size_t cache_bytes, struct sqlite **ret, struct error *err)
{
    char pragmas[160];
    struct sqlite *c = memory_need(calloc(1, sizeof *c));
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    c->path = memory_need(strdup("a temporary file (TMPDIR)"));
    int rc = sqlite3_open_v2("", &c->db, flags, NULL);
    snprintf(pragmas, sizeof pragmas,
             "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE; "
             "PRAGMA cache_size = -%zu",
             cache_bytes / 1024);
    if (rc == SQLITE_OK ? sqlite_exec(c, pragmas, err) : fail(c->db, "a temporary file", rc, err)) {
        sqlite_close(c);
        return RESULT_ERROR;
    }
    *ret = c;
    return RESULT_DONE;
}

void sqlite_close(struct sqlite *c)
{
    if (!c) {
        return;
    }
    sqlite3_close_v2(c->db);
    free(c->path);
    free(c);
}

const char *sqlite_path(const struct sqlite *c)
{
    return c->path;
}

bool sqlite_replaced(const struct sqlite *c)
{
    struct stat now;
    return stat(c->path, &now) != 0 || now.st_dev != c->dev || now.st_ino != c->ino;
}

int sqlite_exec(struct sqlite *c, const char *script, struct error *err)
{
    int rc = sqlite3_exec(c->db, script, NULL, NULL, NULL);
    return rc == SQLITE_OK ? RESULT_DONE : fail(c->db, c->path, rc, err);
}

int sqlite_query_int(struct sqlite *c, const char *sql, int64_t missing, int64_t *ret,
                     struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *s = NULL;
    bool row;
    if (sqlite_prepare(c, sql, &s, err) || sqlite_step(s, &row, err)) {
        return RESULT_ERROR;
    }
    *ret = row && !slice_is_null(sqlite_value(s, 0)) ? sqlite_int(s, 0) : missing;
    return RESULT_DONE;
}

int sqlite_has_table(struct sqlite *c, const char *name, bool *ret, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *s = NULL;
    if (sqlite_prepare(c, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", &s,
                       err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(s, 1, slice_from(name));
    return sqlite_step(s, ret, err);
}

int sqlite_begin(struct sqlite *c, struct error *err)
{
    return sqlite_exec(c, "BEGIN IMMEDIATE", err);
}

int sqlite_commit(struct sqlite *c, struct error *err)
{
    if (sqlite_exec(c, "COMMIT", err)) {
        sqlite_rollback(c);
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

void sqlite_rollback(struct sqlite *c)
{
    if (!sqlite3_get_autocommit(c->db)) {
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

int64_t sqlite_changes(const struct sqlite *c)
{
    return sqlite3_changes64(c->db);
}

int64_t sqlite_last_rowid(const struct sqlite *c)
{
    return sqlite3_last_insert_rowid(c->db);
}

static sqlite3_stmt *raw(struct sqlite_stmt *s)
{
    return (sqlite3_stmt *)s;
}

int sqlite_prepare(struct sqlite *c, const char *sql, struct sqlite_stmt **ret, struct error *err)
{
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL);
    if (rc != SQLITE_OK) {
        return fail(c->db, c->path, rc, err);
    }
    *ret = (struct sqlite_stmt *)s;
    return RESULT_DONE;
}

void sqlite_stmt_free(struct sqlite_stmt *s)
{
    sqlite3_finalize(raw(s));
}

void sqlite_stmt_freep(struct sqlite_stmt **s)
{
    sqlite_stmt_free(*s);
}

void sqlite_bind_int(struct sqlite_stmt *s, int param, int64_t v)
{
    sqlite3_bind_int64(raw(s), param, v);
}

void sqlite_bind_text(struct sqlite_stmt *s, int param, struct slice text)
{
    sqlite3_bind_text64(raw(s), param, text.ptr, text.len, SQLITE_STATIC, SQLITE_UTF8);
}

void sqlite_bind_blob(struct sqlite_stmt *s, int param, struct slice bytes)
{
    sqlite3_bind_blob64(raw(s), param, bytes.ptr, bytes.len, SQLITE_STATIC);
}

int sqlite_step(struct sqlite_stmt *s, bool *ret_row, struct error *err)
{
    int rc = sqlite3_step(raw(s));
    if (rc == SQLITE_ROW) {
        *ret_row = true;
        return RESULT_DONE;
    }
    if (rc != SQLITE_DONE) {
        fail_stmt(raw(s), rc, err);
        sqlite_reset(s);
        return RESULT_ERROR;
    }
    sqlite_reset(s);
    *ret_row = false;
    return RESULT_DONE;
}

int sqlite_run(struct sqlite_stmt *s, struct error *err)
{
    bool row;
    do {
        if (sqlite_step(s, &row, err)) {
            return RESULT_ERROR;
        }
    } while (row);
    return RESULT_DONE;
}

void sqlite_reset(struct sqlite_stmt *s)
{
    sqlite3_reset(raw(s));
    sqlite3_clear_bindings(raw(s));
}

struct slice sqlite_value(struct sqlite_stmt *s, int col)
{
    int type = sqlite3_column_type(raw(s), col);
    if (type == SQLITE_NULL) {
        return SLICE_NULL;
    }
    const void *p =
        type == SQLITE_BLOB ? sqlite3_column_blob(raw(s), col) : sqlite3_column_text(raw(s), col);
    /* SQLite returns NULL for an empty blob; a null slice would mean SQL null. */
    return (struct slice){p ? p : "", (size_t)sqlite3_column_bytes(raw(s), col)};
}

int64_t sqlite_int(struct sqlite_stmt *s, int col)
{
    return sqlite3_column_int64(raw(s), col);
}

bool sqlite_is_blob(struct sqlite_stmt *s, int col)
{
    return sqlite3_column_type(raw(s), col) == SQLITE_BLOB;
}

bool sqlite_is_autoincrement(struct sqlite *c, const char *table, const char *column)
{
    int autoinc = 0;
    int rc = sqlite3_table_column_metadata(c->db, "main", table, column, NULL, NULL, NULL, NULL,
                                           &autoinc);
    return rc == SQLITE_OK && autoinc;
}

void sqlite_quote_name(struct buf *out, const char *name)
{
    buf_add_char(out, '"');
    for (; *name; name++) {
        buf_add_char(out, *name);
        if (*name == '"') {
            buf_add_char(out, '"');
        }
    }
    buf_add_char(out, '"');
}

const char *sqlite_library_version(void)
{
    return sqlite3_libversion();
}
