/*
 * The database of a consumer: the inbox, the table or function that events change, the positions
 * and the dead letters. One implementation for PostgreSQL and one for SQLite.
 *
 * A struct inbox is a connection; one thread at a time uses it, and it waits. Functions that can
 * fail give RESULT_DONE or RESULT_ERROR; after an error rollback is called. RETRY: the
 * transaction is done or not done, and nobody knows which; it is not half done. POISON: the
 * database refuses a value of the events of the last statement.
 */
#pragma once

#include "consume/apply/target.h"

struct inbox_conf {
    const char *url;              /* may hold a password */
    const char *consumer;         /* its name */
    const char *into, *call;      /* "": not */
    enum placeholder placeholder; /* what the format has */
    bool debezium, decimal_text;  /* the rows are as debezium.h has them */
    int stop_fd;                  /* readable: give up */
};

struct inbox;

/* How far a stream is; `stream` is borrowed for the call. */
typedef void inbox_position(void *ctx, struct slice stream, int64_t number);

struct inbox_ops {
    bool (*is_url)(const char *url);

    /* Connects, makes what is missing of our own tables and, where there is none, of the inbox, and
     * looks at the table of `into`. CONFIG: the table or function does not fit. *ret is closed with
     * close. `conf` outlives it. */
    int (*open)(const struct inbox_conf *conf, struct inbox **ret, struct error *err);
    void (*close)(struct inbox *i);
    bool (*alive)(const struct inbox *i);                  /* false: close it and open it again */
    const struct target *(*target)(const struct inbox *i); /* of `into`; else NULL */

    /* Also looks at the table of `into` again, if it was altered; CONFIG as with open. */
    int (*begin)(struct inbox *i, struct error *err);
    int (*commit)(struct inbox *i, struct error *err);
    void (*rollback)(struct inbox *i); /* also outside a transaction */

    /* ret_fresh[k]: the k-th event was claimed now; false: it was applied before. */
    int (*claim)(struct inbox *i, struct record *const *records, size_t n, bool *ret_fresh,
                 struct error *err);
    /* Was the event applied before? Claims nothing. */
    int (*seen)(struct inbox *i, const struct record *r, bool *ret, struct error *err);

    /* Runs a statement of target.h. old_rows may be NULL. *ret_changed: how many rows. */
    int (*change)(struct inbox *i, const char *sql, const char *rows, const char *old_rows,
                  size_t *ret_changed, struct error *err);
    /* Calls the function of `call` for each event, in order. */
    int (*call)(struct inbox *i, struct record *const *records, size_t n, struct error *err);

    /* Keeps an event as a dead letter, in a transaction of its own; again changes nothing. */
    int (*bury)(struct inbox *i, const struct record *r, const char *reason, struct error *err);
    int (*load)(struct inbox *i, inbox_position *give, void *ctx, struct error *err);
    int (*save)(struct inbox *i, const char *stream, int64_t number, struct error *err);
};

extern const struct inbox_ops inbox_postgres, inbox_sqlite;

/* NULL: the text is no URL of a database that can have an inbox. */
const struct inbox_ops *inbox_of_url(const char *url);
