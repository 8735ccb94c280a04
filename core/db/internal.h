/*
 * The state of a PostgreSQL connection and the functions that the files pg*.c share. Private to
 * core/db, its unit test, and cdc/stream/stream.c, which reads the replication stream on a
 * connection made here. All other code sees db/pg.h, whose rules for threads and errors hold here
 * too.
 */
#pragma once

#include "db/pg.h"
#include <libpq-fe.h>

struct pg {
    PGconn *conn;
    int64_t connect_timeout_us, read_timeout_us;
    int64_t life_us; /* the server's last sign of life during this statement; monotonic */
    /* What pg_bytes_come was at the last sign of life, and at the last result of a single-row
     * statement (else at its start). The bytes of notices and notifications are added to
     * life_bytes, so that they are no sign of life; those of notifications, which are dropped at
     * once, also to result_bytes, so that they are no flood. */
    uint64_t life_bytes, result_bytes;
    uint64_t taken_bytes; /* pg_bytes_come of a socket for which the kernel keeps no count */
    uint64_t answer_most; /* an answer of more bytes is a flood: PG_ANSWER_MOST or another below */
    unsigned results;     /* number of results of the current statement so far */
    int64_t sent_us;      /* when the current statement was sent; monotonic */
    bool single_row;
    int stop_fd;
    bool busy;       /* a statement was sent and its end was not taken */
    bool unflushed;  /* libpq has bytes that the socket did not take yet */
    bool flooded;    /* the server sent more than an answer may have; the connection is lost */
    bool lived;      /* a result was complete since life_us was set: a sign of life */
    bool streams;    /* the last look found a large piece of the answer, and more is to come */
    bool prepared;   /* the current statement is a prepared one */
    bool lost;       /* the connection cannot be used any more */
    bool notified;   /* a NOTIFY has come, and pg_notified has not returned it */
    bool wants_copy; /* the current statement is pg_start_copy's */
};

/* As pg_connect, but the server's side is a walsender (replication=database). It understands the
 * simple protocol only: pg_query without parameters. The settings of the session are sent as
 * startup options, behind those of the URL, and so override them. CONFIG/77 with the SQL to run if
 * the role may not replicate. */
int pg_connect_replication(const struct pg_options *opt, struct pg **ret,
                           struct error *err) MUST_CHECK;

/* Sends START_REPLICATION and waits until the server has begun to stream (copy in both directions).
 * From then on only PQgetCopyData and PQputCopyData may use the connection. */
int pg_start_copy(struct pg *c, const char *sql, struct error *err) MUST_CHECK;

/* Fills *err from a result that reports an error. Returns -1. */
int pg_fail_result(struct pg *c, const PGresult *r, struct error *err);

/* The most bytes of one answer: while connecting; of an ordinary statement; of one that reads the
 * user's values, which have at most 1 GiB (pg_expect_values). */
#define PG_GREETING_MOST (UINT64_C(1) << 20)
#define PG_ANSWER_MOST (UINT64_C(256) << 20)
#define PG_VALUES_MOST (UINT64_C(1280) << 20)

/* How many bytes have come over the socket since it was opened. An estimate for a Unix socket. */
uint64_t pg_bytes_come(struct pg *c);

/* How many of them are in the socket now, not read. */
size_t pg_bytes_waiting(const struct pg *c);

/* Marks the connection as lost and fills *err with libpq's reason: RETRY. Returns -1. */
int pg_fail_lost(struct pg *c, struct error *err);

/* With TLS or GSS the library may have decrypted more than was asked for. Neither poll nor FIONREAD
 * shows those bytes, so a wait on the socket alone could last for ever. */
static inline bool pg_encrypted(const struct pg *c)
{
    return PQsslInUse(c->conn) || PQgssEncInUse(c->conn);
}

/* Error class and exit code of a SQLSTATE; "" if there is none, as for a lost connection: RETRY. */
void pg_class(const char *sqlstate, enum error_class *ret_class, int *ret_exit_code);

/* Copies a text of the server or of libpq to out[size] on one line: line breaks become "; ", lines
 * that begin with LOCATION and trailing blanks are left out. A longer text is cut. */
void pg_flatten(const char *text, char *out, size_t size);

/* Finds the SQLSTATE in a libpq message that was made with PQERRORS_VERBOSE; "" if there is none.
 * If several hosts were tried, it is that of the last one. */
void pg_find_sqlstate(const char *text, char out[6]);

/* What the operator can do about this SQLSTATE; "" if the server's text says enough. Static. */
const char *pg_remedy(const char *sqlstate);

/* Parses a URL or conninfo string; *ret is freed with PQconninfoFree. CONFIG/78 with a text that
 * names keys but shows no values: one of them may be the password. */
int pg_parse_conninfo(const char *url, PQconninfoOption **ret, struct error *err) MUST_CHECK;
