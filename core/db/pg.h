/*
 * A PostgreSQL client on top of libpq. It adds what the relay needs: every wait has an end, every
 * error has a class, and values are slices. libpq-fe.h is included by db/internal.h only, which is
 * for the files here and for cdc/stream/stream.c.
 *
 * Two ways to run a statement:
 *   - pg_connect, pg_query and pg_prepare wait for the answer, at most connect_timeout or
 *     read_timeout. When stop_fd becomes readable, connecting ends at once and a statement after
 *     one more second, so that a drain can still save (RETRY, code PG_STOPPED).
 *   - pg_send and pg_take never wait. The caller polls what pg_poll_fds adds.
 *
 * Every session has timezone UTC, DateStyle ISO, bytea_output hex, an empty search_path,
 * row_security off, read committed, no lock or idle timeouts, client_encoding UTF8 and
 * application_name "commitrelay <pipeline>" (the URL may name another), whatever the role or the
 * database sets. So names in statements must have their schema.
 *
 * Thread: a connection, and a result of it, is used by one thread at a time. Functions without a
 * connection: any thread.
 *
 * Errors: functions that return int give RESULT_DONE, or RESULT_ERROR with *err filled;
 * RESULT_AGAIN only where it is named. The class follows from the SQLSTATE (pg_sqlstate.c): the
 * role may not connect or lacks a right: CONFIG/77; time may help: RETRY; a mistake in our own
 * statement: FATAL/70; all else is for the operator of the database: CONFIG/78. A lost connection
 * is RETRY. The text has the server's message and hint, and the trigger or function that raised the
 * error; never the password of the URL.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/poll_set.h"
#include "base/slice.h"
#include <stdbool.h>

/* Codes for error_is: SQLSTATEs under the names of appendix A of PostgreSQL's manual, then our own.
 * Only those that some caller asks for. */
#define PG_UNABLE_TO_CONNECT "08001"
#define PG_CONNECTION_DOES_NOT_EXIST "08003"
#define PG_CONNECTION_FAILURE "08006"
#define PG_FEATURE_NOT_SUPPORTED "0A000"
#define PG_READ_ONLY_SQL_TRANSACTION "25006"
#define PG_INVALID_SCHEMA_NAME "3F000"
#define PG_DEADLOCK_DETECTED "40P01"
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
#define PG_POOLER "pooler"   /* a connection pooler is in between, and refuses what we need */

struct pg;        /* a connection */
struct pg_result; /* rows, as text */

/* Borrowed during the call. */
struct pg_options {
    const char *url;      /* postgresql:// or conninfo */
    const char *pipeline; /* for application_name */
    /* connect_timeout: for each host of the URL. read_timeout: how long the server may be silent
     * during a statement. */
    int64_t connect_timeout_us, read_timeout_us;
    int64_t sender_timeout_us; /* pg_connect_replication: wal_sender_timeout of the session, unless
                                  the server's is shorter; 0: the server's */
    int stop_fd;               /* readable once the process should stop; -1: none */
};

/* Connects and sets the session up. *ret is closed with pg_close. Waits. CONFIG also for a server
 * older than version 14. */
int pg_connect(const struct pg_options *opt, struct pg **ret, struct error *err) MUST_CHECK;
void pg_close(struct pg *c); /* cancels the statement under way; NULL is fine */

int pg_server_version(const struct pg *c); /* 150020 is 15.20 */
/* The process id that the server named when we connected. Behind a pooler it is not the one that
 * pg_backend_pid() in SQL gives. */
int pg_backend_pid(const struct pg *c);
bool pg_alive(const struct pg *c); /* false: the connection was lost and must be opened again */

/* Runs a statement and waits for the answer. `sql` is one statement with parameters $1..$n as text
 * (params[i] NULL: SQL null), or, with n == 0, one or several statements. *ret is the last result,
 * freed with pg_result_free; `ret` may be NULL if rows are of no interest. What is left of an
 * earlier statement on this connection is read and thrown away first. */
int pg_query(struct pg *c, const char *sql, size_t n, const char *const *params,
             struct pg_result **ret, struct error *err) MUST_CHECK;

/* Runs a script that makes tables, as the only one of all processes that use this function. What
 * another one has made meanwhile is visible to the script. `script`: as `sql` of pg_query with n ==
 * 0. Not through a pooler that pools transactions: the lock is the session's. Waits. */
int pg_make(struct pg *c, const char *script, struct error *err) MUST_CHECK;
/* The number of its advisory lock, as SQL. */
#define PG_MAKE_LOCK "pg_catalog.hashtextextended('commitrelay/schema', 0)"

/* Prepares a statement under a name, for pg_send_prepared. n: number of its parameters. Waits. */
int pg_prepare(struct pg *c, const char *name, const char *sql, size_t n,
               struct error *err) MUST_CHECK;

/* Sends a statement without waiting for its answer. One at a time: until pg_take has given its end,
 * another one is FATAL. single_row: pg_take gives each row as soon as it has come, so that memory
 * holds one row and not all of them. */
int pg_send(struct pg *c, const char *sql, size_t n, const char *const *params, bool single_row,
            struct error *err) MUST_CHECK;
int pg_send_prepared(struct pg *c, const char *name, size_t n, const char *const *params,
                     bool single_row, struct error *err) MUST_CHECK;

/* The next result of the statement that was sent, freed with pg_result_free. Never waits.
 * DONE with *ret != NULL: a result (with single_row: one row, or the empty result at the end). DONE
 * with *ret == NULL: the statement is over. AGAIN: nothing complete has come yet; poll what
 * pg_poll_fds adds. ERROR: call it again until *ret is NULL or pg_alive is false, or use pg_query.
 * RETRY with PG_TIMEOUT if the server was silent for read_timeout; the connection is then lost. */
int pg_take(struct pg *c, struct pg_result **ret, struct error *err) MUST_CHECK;
/* From now on answers may hold the user's values, and so be up to 1.25 GiB. Without this call, an
 * answer of more than 256 MiB counts as a server that sends without end, and the connection as
 * lost: memory must not fill up. */
void pg_expect_values(struct pg *c);
bool pg_busy(const struct pg *c); /* a statement was sent, and pg_take has not given its end */
/* Adds what the connection waits for, also while it is idle (for a NOTIFY, or the server's end). */
void pg_poll_fds(struct pg *c, struct poll_set *set);

/* Asks the server to cancel the statement under way, without waiting. Its end must still be taken:
 * an error with the code PG_QUERY_CANCELED, or a normal end. If the request arrives late it hits
 * the connection's next statement, which then fails with RETRY. */
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
/* The value as text; a null slice for SQL null. Lives as long as the result, and a NUL follows it.
 * Rows and columns count from 0. */
struct slice pg_value(const struct pg_result *r, size_t row, size_t col);
size_t pg_result_bytes(const struct pg_result *r); /* the memory it takes */
size_t pg_affected(const struct pg_result *r); /* rows that an insert, update or delete changed */
/* True if the value is the boolean true; false for false and null. */
static inline bool pg_true(const struct pg_result *r, size_t row, size_t col)
{
    return slice_equal_str(pg_value(r, row, col), "t");
}
/* The value as a number; `missing` if it is null or no number. */
int64_t pg_int(const struct pg_result *r, size_t row, size_t col, int64_t missing);

/* These append text that is safe inside a statement. */

/* A name in double quotes: a"b becomes "a""b". CONFIG/78 if it is empty, longer than 63 bytes,
 * which the server would cut, or holds a NUL. */
int pg_quote_name(struct buf *out, struct slice name, struct error *err) MUST_CHECK;
/* `schema.table`, or `table` (then of the schema public), as "schema"."table". In `name` either of
 * the two may be in double quotes. CONFIG/78 for anything else. */
int pg_quote_table(struct buf *out, const char *name, struct error *err) MUST_CHECK;
/* A text in single quotes, for the few statements that take no parameters. */
void pg_quote_literal(struct buf *out, struct slice text);
/* One more element of an array such as {a,"b c"}, for a parameter: with a comma if it is not the
 * first, quoted where that is needed. The caller writes the braces; `out` has nothing before them.
 */
void pg_array_element(struct buf *out, struct slice text);

/* *ret: a NOTIFY of any channel has come since the last call. Reads what has come, without waiting.
 */
int pg_notified(struct pg *c, bool *ret, struct error *err) MUST_CHECK;

/* Returns `text` if it looks like a PostgreSQL URL or conninfo string, else NULL. It may still be
 * wrong. */
const char *pg_url(const char *text);

/* *ret: the URL or conninfo string contains a password, which is refused on a command line because
 * other users see it there. CONFIG/78 if libpq cannot parse it or does not know one of its keys. */
int pg_has_password(const char *url, bool *ret, struct error *err) MUST_CHECK;
/* Do both name the same server, as far as the texts tell? With `database`: the same database of it,
 * too. False if one of them cannot be parsed. */
bool pg_same_server(const char *url, const char *other, bool database);
/* Appends the URL without its passwords, for people. */
void pg_redact(const char *url, struct buf *out);
/* The version of the libpq that runs: "15.1". Lives until this thread calls it again. */
const char *pg_library_version(void);
