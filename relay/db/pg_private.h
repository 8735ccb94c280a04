/*
 * What the files of the PostgreSQL client share. Private to relay/db (and its unit test): everybody
 * else sees pg.h.
 */
#pragma once

#include "db/pg.h"
#include <libpq-fe.h>

struct pg {
    PGconn *conn;
    int64_t read_timeout_us;
    int64_t life_us; /* last sign of life of the current statement, monotonic */
    int stop_fd;
    bool busy;      /* sent, its end not yet taken */
    bool unflushed; /* libpq still holds bytes to send */
    bool lived;     /* results were taken since life_us was set */
    bool prepared;  /* what runs is a prepared statement */
    bool lost;
    bool notified; /* a NOTIFY has come and was not yet told */
};

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
