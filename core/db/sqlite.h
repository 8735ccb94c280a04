/*
 * SQLite in the relay's terms: short waits, errors with a class, values as slices. sqlite3.h is
 * included by sqlite.c alone.
 *
 * A connection belongs to one thread. It never checkpoints (wal_autocheckpoint 0, none at close),
 * never changes the journal mode, maps no file and syncs fully. While another connection holds a
 * lock it waits as long as sqlite_set_patience says, and gives up as soon as stop_fd is readable.
 *
 * Nothing in this process may open() or close() the database file but SQLite: a close drops all its
 * POSIX locks.
 *
 * Errors: BUSY, LOCKED, PROTOCOL, SCHEMA, INTERRUPT, NOMEM: RETRY/75; FULL, IOERR: RETRY/74;
 * CORRUPT: FATAL/74; NOTADB, no such table or column: CONFIG/78; READONLY, PERM, AUTH: CONFIG/77;
 * CANTOPEN: 78 or 77, as the path says; TOOBIG: POISON; the rest FATAL/70. err->code is SQLite's
 * name of the (primary) code.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct sqlite;      /* a connection */
struct sqlite_stmt; /* a prepared statement */

struct sqlite_options {
    const char *path;
    bool create;         /* make a missing file; else it is CONFIG/78 */
    bool need_write;     /* a file that can only be read is CONFIG/77 */
    int64_t patience_us; /* how long to wait for a lock */
    size_t max_value;    /* values over this many bytes are not loaded (POISON, SQLITE_TOOBIG); 0 =
                            SQLite's own limit */
    int stop_fd;         /* -1: none */
};

/* Refuses a directory, a network file system, a missing or unreadable file, and what is no SQLite
 * database. */
int sqlite_open(const struct sqlite_options *opt, struct sqlite **ret,
                struct error *err) MUST_CHECK;
void sqlite_close(struct sqlite *c); /* its statements must be freed first; NULL is fine */

/* The file behind "sqlite:PATH"; NULL when the URL is of another kind or the path is empty. Points
 * into `url`. */
const char *sqlite_url_path(const char *url);

/* Absolute, symbolic links resolved: where -wal and lock files lie. */
const char *sqlite_path(const struct sqlite *c);

/* True once the path no longer leads to the file that is open: deleted, or another file put in its
 * place. */
bool sqlite_replaced(const struct sqlite *c);

void sqlite_set_patience(struct sqlite *c, int64_t us);

/* Runs a script: any number of statements without parameters. */
int sqlite_exec(struct sqlite *c, const char *script, struct error *err) MUST_CHECK;

/* The first column of the first row of a statement without parameters; `missing` without a row or
 * when null. */
int sqlite_query_int(struct sqlite *c, const char *sql, int64_t missing, int64_t *ret,
                     struct error *err) MUST_CHECK;

/* BEGIN IMMEDIATE: the write lock at once, so that no later step can find a stale snapshot. */
int sqlite_begin(struct sqlite *c, struct error *err) MUST_CHECK;
int sqlite_commit(struct sqlite *c, struct error *err) MUST_CHECK; /* rolled back if it fails */
void sqlite_rollback(struct sqlite *c);         /* nothing happens outside a transaction */
int64_t sqlite_changes(const struct sqlite *c); /* rows of the last insert, update or delete */
int64_t sqlite_last_rowid(const struct sqlite *c);

int sqlite_prepare(struct sqlite *c, const char *sql, struct sqlite_stmt **ret,
                   struct error *err) MUST_CHECK;
void sqlite_stmt_free(struct sqlite_stmt *s);   /* NULL is fine */
void sqlite_stmt_freep(struct sqlite_stmt **s); /* for CLEANUP */

/* Parameters count from 1. Bytes are borrowed until the statement is reset; a null slice is SQL
 * null. */
void sqlite_bind_int(struct sqlite_stmt *s, int param, int64_t v);
void sqlite_bind_text(struct sqlite_stmt *s, int param, struct slice text);
void sqlite_bind_blob(struct sqlite_stmt *s, int param, struct slice bytes);

/* *ret_row tells whether there is a row. After an error or the last row the statement is reset: it
 * holds no lock. */
int sqlite_step(struct sqlite_stmt *s, bool *ret_row, struct error *err) MUST_CHECK;
int sqlite_run(struct sqlite_stmt *s, struct error *err) MUST_CHECK; /* to its end, rows ignored */
void sqlite_reset(struct sqlite_stmt *s); /* ends its read; parameters are cleared */

/* Values of the current row, valid until the next step or reset. Columns count from 0. */
struct slice sqlite_value(struct sqlite_stmt *s,
                          int col); /* numbers as their text; null slice for SQL null */
int64_t sqlite_int(struct sqlite_stmt *s, int col);
bool sqlite_is_blob(struct sqlite_stmt *s, int col);

bool sqlite_is_busy(const struct error *err);    /* another connection held a lock for too long */
bool sqlite_is_too_big(const struct error *err); /* a value over max_value */

/* Is `column` an INTEGER PRIMARY KEY AUTOINCREMENT of `table`? False if there is no such column. */
bool sqlite_is_autoincrement(struct sqlite *c, const char *table, const char *column);

/* "name" with quotes doubled. */
void sqlite_quote_name(struct buf *out, const char *name);

const char *sqlite_library_version(void);

/* What statfs calls this file system when SQLite must not be used on it ("NFS", "SMB" ...); else
 * NULL. */
const char *sqlite_network_fs(uint64_t f_type);

/* Looks at a path without opening it: *ret_missing, or CONFIG for a directory, no permission, a
 * network file system. */
int sqlite_path_check(const char *path, bool *ret_missing, struct error *err) MUST_CHECK;
