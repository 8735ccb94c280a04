/*
 * A SQLite client. It adds what the relay needs: short waits for locks, errors with a class, values
 * as slices. Only sqlite.c includes sqlite3.h.
 *
 * A connection checkpoints only if `checkpoint` says so (that is left to the application whose
 * database it is), does not change the journal mode by itself, does not map the file into memory,
 * and syncs every commit (synchronous = FULL). If another connection has a lock, it waits as long
 * as sqlite_set_patience says, and stops waiting once stop_fd is readable.
 *
 * Only SQLite may open() and close() the database file in this process. POSIX locks belong to the
 * process: a close() of any descriptor of the file would drop SQLite's locks, and two writers could
 * destroy the file.
 *
 * Thread: a connection and its statements are used by one thread at a time. Functions without a
 * connection: any thread.
 *
 * Errors: functions that return int give RESULT_DONE, or RESULT_ERROR with *err filled; err->code
 * is SQLite's name of the primary result code ("SQLITE_BUSY"). Class and exit code:
 *   RETRY/75   BUSY, LOCKED: another connection has a lock. PROTOCOL, SCHEMA, INTERRUPT, NOMEM.
 *              READONLY_DBMOVED: the file was moved or replaced.
 *   RETRY/74   FULL: the disk is full. IOERR: the disk or its driver fails.
 *   RETRY/70   CANTOPEN because the process has no descriptor left.
 *   CONFIG/77  READONLY, PERM, AUTH, any other CANTOPEN: a right is missing.
 *   CONFIG/78  NOTADB: not a database, or encrypted. A table or column that does not exist.
 *   POISON/75  TOOBIG: a value over max_value.
 *   FATAL/74   CORRUPT, and IOERR_CORRUPTFS: the file is damaged.
 *   FATAL/70   everything else: a bug, or a trigger of the database.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct sqlite;      /* a connection */
struct sqlite_stmt; /* a prepared statement */

/* Borrowed during the call. */
struct sqlite_options {
    const char *path;
    bool create;         /* make a missing file; else it is CONFIG/78 */
    bool need_write;     /* a file that can only be read is CONFIG/77 */
    bool checkpoint;     /* checkpoint a WAL that has grown, after a commit */
    int64_t patience_us; /* how long to wait for a lock */
    /* Values of more bytes are not loaded (POISON); at least 64 KiB. 0: SQLite's own limit. */
    size_t max_value;
    int stop_fd; /* ends a wait for a lock once it is readable; -1: none */
};

/* Opens the file and reads its first page, so that a wrong file is found now. CONFIG for a
 * directory, a network file system, a file that is missing or may not be read, and a file that is
 * no database. RETRY if the file was replaced meanwhile. *ret is closed with sqlite_close. */
int sqlite_open(const struct sqlite_options *opt, struct sqlite **ret,
                struct error *err) MUST_CHECK;

/* A private database for what is too large for memory: an empty one, in a file without a name that
 * is gone once it is closed or the process ends. It lies in $SQLITE_TMPDIR, $TMPDIR, /var/tmp or
 * /tmp, the first that can be written to. A sort goes there, too. cache_bytes: about how much of
 * it, and of a sort, is in memory at most. Nothing in it survives a crash. */
int sqlite_open_scratch(size_t cache_bytes, struct sqlite **ret, struct error *err) MUST_CHECK;
void sqlite_close(struct sqlite *c); /* its statements must be freed first; NULL is fine */

/* The file behind "sqlite:PATH"; NULL when the URL is of another kind or the path is empty. Points
 * into `url`. */
const char *sqlite_url_path(const char *url);

/* The absolute path with symbolic links resolved; -wal and lock files are beside it. Lives as long
 * as the connection. */
const char *sqlite_path(const struct sqlite *c);

/* True if the path does not lead to the open file any more: it was deleted, or another file is in
 * its place. Then this connection writes into a file that nobody else sees. */
bool sqlite_replaced(const struct sqlite *c);

/* How long later calls wait for a lock before they fail with BUSY. */
void sqlite_set_patience(struct sqlite *c, int64_t us);

/* Runs a script: any number of statements without parameters. Rows are thrown away. */
int sqlite_exec(struct sqlite *c, const char *script, struct error *err) MUST_CHECK;

/* *ret: the first column of the first row of a statement without parameters; `missing` if there is
 * no row or the value is null. */
int sqlite_query_int(struct sqlite *c, const char *sql, int64_t missing, int64_t *ret,
                     struct error *err) MUST_CHECK;

/* *ret: the file has a table of this name; case matters. */
int sqlite_has_table(struct sqlite *c, const char *name, bool *ret, struct error *err) MUST_CHECK;

/* Begins a transaction and takes the write lock at once (BEGIN IMMEDIATE). Without that, a
 * transaction that reads first and writes later fails if somebody else wrote in between. */
int sqlite_begin(struct sqlite *c, struct error *err) MUST_CHECK;
int sqlite_commit(struct sqlite *c, struct error *err) MUST_CHECK; /* rolled back if it fails */
void sqlite_rollback(struct sqlite *c);            /* does nothing outside a transaction */
int64_t sqlite_changes(const struct sqlite *c);    /* rows of the last insert, update or delete */
int64_t sqlite_last_rowid(const struct sqlite *c); /* of the last insert */

/* Prepares a statement that is used many times. *ret is freed with sqlite_stmt_free. */
int sqlite_prepare(struct sqlite *c, const char *sql, struct sqlite_stmt **ret,
                   struct error *err) MUST_CHECK;
void sqlite_stmt_free(struct sqlite_stmt *s);   /* NULL is fine */
void sqlite_stmt_freep(struct sqlite_stmt **s); /* for CLEANUP */

/* Set a parameter; they count from 1. Bytes are not copied: they must stay until the statement is
 * reset. A null slice is SQL null. */
void sqlite_bind_int(struct sqlite_stmt *s, int param, int64_t v);
void sqlite_bind_text(struct sqlite_stmt *s, int param, struct slice text);
void sqlite_bind_blob(struct sqlite_stmt *s, int param, struct slice bytes);

/* Goes to the next row. *ret_row: there is one. After the last row and after an error the statement
 * is reset, so it keeps no lock and its parameters are cleared. */
int sqlite_step(struct sqlite_stmt *s, bool *ret_row, struct error *err) MUST_CHECK;
/* Runs the statement to its end and ignores its rows. */
int sqlite_run(struct sqlite_stmt *s, struct error *err) MUST_CHECK;
/* Ends a read before its last row, which gives up its lock, and clears the parameters. */
void sqlite_reset(struct sqlite_stmt *s);

/* Values of the current row, valid until the next step or reset. Columns count from 0. */
struct slice sqlite_value(struct sqlite_stmt *s,
                          int col); /* numbers as their text; null slice for SQL null */
int64_t sqlite_int(struct sqlite_stmt *s, int col);
bool sqlite_is_blob(struct sqlite_stmt *s, int col);

bool sqlite_is_busy(const struct error *err);    /* another connection had a lock for too long */
bool sqlite_is_too_big(const struct error *err); /* a value over max_value */

/* Is `column` an INTEGER PRIMARY KEY AUTOINCREMENT of `table`? False if there is no such column. */
bool sqlite_is_autoincrement(struct sqlite *c, const char *table, const char *column);

/* Appends the name in double quotes: a"b becomes "a""b". */
void sqlite_quote_name(struct buf *out, const char *name);

/* The version of the SQLite that runs: "3.40.1". Static. */
const char *sqlite_library_version(void);

/* f_type as of statfs. Returns the name of a network file system ("NFS", "SMB" ...), on which
 * SQLite's locks do not work; NULL for any other. Static. */
const char *sqlite_network_fs(uint64_t f_type);

/* Looks at a path without opening the file. *ret_missing: there is no such file yet, but its
 * directory exists. CONFIG for an empty path, a directory, a missing directory, a file that may not
 * be read, and a network file system. */
int sqlite_path_check(const char *path, bool *ret_missing, struct error *err) MUST_CHECK;
