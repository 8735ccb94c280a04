/*
 * PostgreSQL through libpq, in the relay's terms: bounded waits, errors with a class, results as
 * slices. The only header of the polling world that stands for libpq; libpq-fe.h itself is included
 * by pg*.c alone.
 *
 * A connection belongs to one thread. Synchronous calls (`pg_connect`, `pg_query`) wait at most the
 * timeouts given at connect; with stop_fd readable connecting is given up at once and a statement
 * after one second, so that a drain can still save and record (RETRY, code PG_STOPPED).
 * Asynchronous ones (`pg_send`, `pg_take`) never wait. Every session runs with timezone UTC,
 * DateStyle ISO, bytea_output hex, an empty search_path, row_security off, read committed, no lock
 * or idle timeouts, application_name "commitrelay <pipeline>" and client_encoding UTF8, whatever
 * role and database say.
 *
 * Errors: class from SQLSTATE; text holds the server's message and hint, never the conninfo's
 * password, and the trigger or function it was raised in. pg_sqlstate.c has the decisions: not let
 * in: CONFIG/77; what time may mend: RETRY; our own mistakes: FATAL/70; the rest is for the
 * operator of the database: CONFIG/78.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/poll_set.h"
#include "base/slice.h"
#include <stdbool.h>

/* Codes of errors that somebody asks for: SQLSTATEs by the names of PostgreSQL's appendix A, and
 * our own. What each means for the relay is decided in pg_sqlstate.c. */
#define PG_UNABLE_TO_CONNECT "08001"
#define PG_CONNECTION_DOES_NOT_EXIST "08003"
#define PG_CONNECTION_FAILURE "08006"
#define PG_FEATURE_NOT_SUPPORTED "0A000"
#define PG_READ_ONLY_SQL_TRANSACTION "25006"
#define PG_INVALID_SCHEMA_NAME "3F000"
#define PG_INSUFFICIENT_PRIVILEGE "42501"
#define PG_SYNTAX_ERROR "42601"
#define PG_UNDEFINED_COLUMN "42703"
#define PG_UNDEFINED_OBJECT "42704"
#define PG_DUPLICATE_OBJECT "42710"
#define PG_UNDEFINED_TABLE "42P01"
#define PG_OUT_OF_MEMORY "53200"
#define PG_TOO_MANY_CONNECTIONS "53300"
#define PG_CONFIGURATION_LIMIT_EXCEEDED "53400"
#define PG_NOT_IN_PREREQUISITE_STATE "55000"
#define PG_OBJECT_IN_USE "55006"
#define PG_LOCK_NOT_AVAILABLE "55P03"
#define PG_QUERY_CANCELED "57014"
#define PG_ADMIN_SHUTDOWN "57P01"
#define PG_UNDEFINED_FILE "58P01"
#define PG_TIMEOUT "timeout" /* no answer within read_timeout or connect_timeout */
#define PG_STOPPED "stopped" /* given up because the process is asked to stop */
#define PG_POOLER "pooler"   /* a connection pooler does not let the session be as it must */

struct pg;        /* a connection */
struct pg_result; /* rows, text format */

struct pg_options {
    const char *url;      /* postgresql:// or conninfo; borrowed during the call */
    const char *pipeline; /* for application_name */
    int64_t connect_timeout_us, read_timeout_us;
    int64_t sender_timeout_us; /* pg_connect_replication: wal_sender_timeout of the session, unless
                                  the server's is shorter; 0: the server's */
    int stop_fd;               /* -1: none */
};

int pg_connect(const struct pg_options *opt, struct pg **ret, struct error *err) MUST_CHECK;
void pg_close(struct pg *c); /* cancels what runs; NULL is fine */

int pg_server_version(const struct pg *c); /* 150020 */
int pg_backend_pid(const struct pg *c);
bool pg_alive(const struct pg *c); /* false after the connection was lost */

/* Waits for the answer. sql may be one statement with parameters $1..$n (params[i] NULL = null,
 * text format), or, with n == 0, several statements. `ret` may be NULL when rows are of no
 * interest. */
int pg_query(struct pg *c, const char *sql, size_t n, const char *const *params,
             struct pg_result **ret, struct error *err) MUST_CHECK;

/* A named statement for pg_send_prepared. Waits. */
int pg_prepare(struct pg *c, const char *name, const char *sql, size_t n,
               struct error *err) MUST_CHECK;

/* Sends without waiting; one at a time. single_row: pg_take hands out rows as they arrive. */
int pg_send(struct pg *c, const char *sql, size_t n, const char *const *params, bool single_row,
            struct error *err) MUST_CHECK;
int pg_send_prepared(struct pg *c, const char *name, size_t n, const char *const *params,
                     bool single_row, struct error *err) MUST_CHECK;

/* The next result of what was sent. DONE with *ret != NULL: a result (in single-row mode: one row,
 * or the empty end result); DONE with *ret == NULL: the statement is over and the connection idle.
 * AGAIN: see pg_poll_fds. RETRY with code PG_TIMEOUT once read_timeout has passed since the last
 * sign of life. */
int pg_take(struct pg *c, struct pg_result **ret, struct error *err) MUST_CHECK;
/* From now on an answer may hold values of the user's, which are large; else one of more than 256
 * MiB is taken for a flood. */
void pg_expect_values(struct pg *c);
bool pg_busy(const struct pg *c); /* something was sent and its end not yet taken */
void pg_poll_fds(struct pg *c, struct poll_set *set);

/* Asks the server to cancel what runs, without waiting; its end must still be taken (it comes as an
 * error with code PG_QUERY_CANCELED or normally). The request may arrive late and hit the
 * connection's next statement, which is then a RETRY. */
void pg_cancel(struct pg *c);
/* The same for a statement that has run into read_timeout: the connection counts as lost then, but
 * the server would still finish what it was told to do. Nothing is done if the connection is gone.
 */
void pg_abandon(struct pg *c);

void pg_result_free(struct pg_result *r); /* NULL is fine */

/* For CLEANUP: start from NULL. */
static inline void pg_result_cleanup(struct pg_result **r)
{
    pg_result_free(*r);
}

size_t pg_rows(const struct pg_result *r);
struct slice pg_value(const struct pg_result *r, size_t row,
                      size_t col);                 /* null slice for SQL null */
size_t pg_result_bytes(const struct pg_result *r); /* the memory it takes */
size_t pg_affected(const struct pg_result *r);
/* A boolean that is true; false for false and null. */
static inline bool pg_true(const struct pg_result *r, size_t row, size_t col)
{
    return slice_equal_str(pg_value(r, row, col), "t");
}
/* pg_value as a number; `missing` when null or no number. */
int64_t pg_int(const struct pg_result *r, size_t row, size_t col, int64_t missing);

/* "name" with quotes doubled; CONFIG/78 when longer than 63 bytes or holding a NUL. */
int pg_quote_name(struct buf *out, struct slice name, struct error *err) MUST_CHECK;
/* `schema.table` or `table` (then "public") as "schema"."table". Either part may be written in
 * double quotes. */
int pg_quote_table(struct buf *out, const char *name, struct error *err) MUST_CHECK;
/* 'literal', for the rare statement that takes no parameters. */
void pg_quote_literal(struct buf *out, struct slice text);
/* One more element of an array's text, {a,"b c"}, for a parameter: quoted where needed; the braces
 * are the caller's. */
void pg_array_element(struct buf *out, struct slice text);

/* NOTIFY messages that have arrived since the last call (any channel). Consumes input without
 * waiting. */
int pg_notified(struct pg *c, bool *ret, struct error *err) MUST_CHECK;

/* `text` itself if it has the form of a URL or conninfo, which may still be wrong; else NULL. */
const char *pg_url(const char *text);

/* True if the URL or conninfo contains a password (parsed by libpq): refused on a command line.
 * CONFIG/78 if it is no conninfo at all. */
int pg_has_password(const char *url, bool *ret, struct error *err) MUST_CHECK;
/* The URL without its password, for people. */
void pg_redact(const char *url, struct buf *out);
/* The libpq keys this libpq does not know (require_auth, sslnegotiation, sslrootcert=system ...):
 * named clearly, 78. */
const char *pg_library_version(void);
