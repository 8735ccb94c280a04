/*
 * What the files of the PostgreSQL client share. Private to core/db, its unit test and
 * cdc/stream/stream.c, which speaks the copy protocol on a connection made here: everybody else
 * sees pg.h.
 */
#pragma once

#include "db/pg.h"
#include <libpq-fe.h>

struct pg {
    PGconn *conn;
    int64_t connect_timeout_us, read_timeout_us;
    int64_t life_us; /* last sign of life of the current statement, monotonic */
    /* Counted by the bytes that have come (pg_bytes.c): at the last sign of life, and at the last
     * result. What was not asked for (notices, notifications) is added to the former and, once
     * dropped, to both, so that it counts as nothing. */
    uint64_t life_bytes, result_bytes;
    uint64_t taken_bytes; /* of a socket that does not count itself */
    uint64_t answer_most;
    unsigned results; /* of the current statement */
    int64_t sent_us;
    bool single_row;
    int stop_fd;
    bool busy;      /* sent, its end not yet taken */
    bool unflushed; /* libpq still holds bytes to send */
    bool flooded;   /* more came than a statement may answer */
    bool lived;     /* results were taken since life_us was set */
    bool prepared;  /* what runs is a prepared statement */
    bool lost;
    bool notified;   /* a NOTIFY has come and was not yet told */
    bool wants_copy; /* what runs is to begin a copy both ways */
};

/* As pg_connect, but a walsender's connection to the URL's database (replication=database). It
 * knows the simple protocol only: pg_query without parameters. The session's settings are startup
 * options and stronger than those of the URL. */
int pg_connect_replication(const struct pg_options *opt, struct pg **ret,
                           struct error *err) MUST_CHECK;

/* Sends START_REPLICATION and waits until copying both ways has begun. From then on the connection
 * is for PQgetCopyData and PQputCopyData alone. */
int pg_start_copy(struct pg *c, const char *sql, struct error *err) MUST_CHECK;

/* Class, code and text of a result that says what went wrong. Returns -1. */
int pg_fail_result(struct pg *c, const PGresult *r, struct error *err);

/* What more comes is no answer: while a session is made, afterwards, and where values of the
 * user's, of 1 GiB at most, are asked for. */
#define PG_GREETING_MOST (UINT64_C(1) << 20)
#define PG_ANSWER_MOST (UINT64_C(256) << 20)
#define PG_VALUES_MOST (UINT64_C(1280) << 20)

/* All bytes that have come over the socket so far. */
uint64_t pg_bytes_come(struct pg *c);

/* The connection was lost: says so with libpq's reason, and marks it. Returns -1. */
int pg_fail_lost(struct pg *c, struct error *err);

/* TLS or GSS: what was decrypted beyond what was asked for lies in the library, where neither poll
 * nor FIONREAD sees it. */
static inline bool pg_encrypted(const struct pg *c)
{
    return PQsslInUse(c->conn) || PQgssEncInUse(c->conn);
}

/* The policy for a SQLSTATE ("" if there is none). */
void pg_class(const char *sqlstate, enum error_class *ret_class, int *ret_exit_code);

/* Server or libpq text on one line: line breaks become "; ", LOCATION lines and trailing blanks go.
 */
void pg_flatten(const char *text, char *out, size_t size);

/* The SQLSTATE in a message of verbosity PQERRORS_VERBOSE; "" if none. The last one, if several
 * hosts were tried. */
void pg_find_sqlstate(const char *text, char out[6]);

/* What the operator can do about it; "" if the server's text says it all. */
const char *pg_remedy(const char *sqlstate);

/* Parses a URL or conninfo string; CONFIG/78 with a text that holds no values. Free with
 * PQconninfoFree. */
int pg_parse_conninfo(const char *url, PQconninfoOption **ret, struct error *err) MUST_CHECK;
