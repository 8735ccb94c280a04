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
    bool look_only;               /* a command: makes no tables. CONFIG if they are missing */
    bool *ret_missing;            /* with look_only: instead of an error; only close follows then */
};

/* The statements about dead letters and parked keys: parking.c and letters.c run them. Each file of
 * schema/sql (schema/sql_sqlite) says its parameters and columns; the short ones stand in
 * inbox_sql.c. Their parameters are the consumer, the letter's number, and what is said here. */
enum inbox_sql {
    INBOX_ANY_PARKED,    /* a row: is any key of this consumer parked? 1 or 0 */
    INBOX_PARKED,        /* consumer_parked.sql */
    INBOX_WAIT,          /* consumer_wait.sql */
    INBOX_PARK_ROOM,     /* consumer_park_room.sql */
    INBOX_LETTERS,       /* consumer_letters.sql */
    INBOX_LETTER_LOCK,   /* nobody else changes the letter until the transaction ends */
    INBOX_LETTER_CLOSE,  /* 3: its new state. Of an open one only */
    INBOX_LETTER_FAILED, /* 3: the reason. Of an open one only */
    INBOX_LETTER_EDIT,   /* 3: the event. Of an open one only */
    INBOX_LETTER_FREE,   /* it parks no key any more */
    INBOX_WAITING_PAGE,  /* consumer_waiting_page.sql */
    INBOX_WAITING_GONE,  /* consumer, key, number: removes what waits up to this number */
    INBOX_SQLS
};

enum { INBOX_PARAMS_MAX = 8, INBOX_COLUMNS_MAX = 16 };

/* A parameter, borrowed; a null slice is SQL null. */
struct inbox_value {
    struct slice text;
    bool bytes; /* a bytea or blob */
};

/* NULL is SQL null. */
static inline struct inbox_value inbox_text(const char *s)
{
    return (struct inbox_value){.text = slice_from(s)};
}

size_t inbox_columns(enum inbox_sql which);                     /* how many columns its rows have */
const char *inbox_statement(enum inbox_sql which, bool sqlite); /* static */

/* A row: its columns as texts, bytes as PostgreSQL's "\\x...". Borrowed for the call. */
typedef void inbox_row(void *ctx, const struct slice *columns);

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

    /* Keeps an event as an open dead letter, in the transaction that is open, else in one of its
     * own; again changes nothing but the reason. parks: later events of its key wait behind it. */
    int (*bury)(struct inbox *i, const struct record *r, const char *reason, bool parks,
                struct error *err);
    /* `each` and ret_changed (how many rows were changed) may be NULL. */
    int (*run)(struct inbox *i, enum inbox_sql which, const struct inbox_value *params, size_t n,
               inbox_row *each, void *ctx, size_t *ret_changed, struct error *err);
    int (*load)(struct inbox *i, inbox_position *give, void *ctx, struct error *err);
    int (*save)(struct inbox *i, const char *stream, int64_t number, struct error *err);
};

extern const struct inbox_ops inbox_postgres, inbox_sqlite;

/* NULL: the text is no URL of a database that can have an inbox. */
const struct inbox_ops *inbox_of_url(const char *url);
