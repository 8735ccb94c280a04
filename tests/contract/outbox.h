/*
 * The application's side of an outbox under test: makes the table as `commitrelay init` does, and
 * writes to it in sessions of its own that the relay knows nothing of.
 */
#pragma once

#include "config/conf_key.h"
#include <stdbool.h>

enum { OUTBOX_SESSIONS = 2 };

struct outbox {
    const struct outbox_kind *kind;
    const char *server; /* where `make` may make databases; "" if no kind is on_server */
    char where[512];    /* what the source's key `kind->url_key` is set to */
    char dir[64];
    void *sessions[OUTBOX_SESSIONS];
};

/* The pipeline "p" under test is not divided; another part has another epoch. */
#define OUTBOX_PART ""
#define OUTBOX_OTHER_PART "0/2"

struct outbox_kind {
    const char *url_key;   /* the configuration key that names the database */
    const char *positions; /* the relay's table of positions */
    const char *dead_letters;
    bool on_server;             /* `make` needs struct outbox.server */
    bool one_writer;            /* the relay's marks wait for an open transaction, too */
    const char *foreign_cursor; /* one that another kind of source made */
    bool (*make)(struct outbox *o, const char *mode); /* false: no such mode known here */
    void (*drop)(struct outbox *o);
    /* False: refused because the other session writes. Any other failure ends the test. */
    bool (*sql)(struct outbox *o, unsigned session, const char *text);
    bool (*at_rest)(struct outbox *o); /* the relay holds no transaction; NULL: it has none */
    void (*cut)(struct outbox *o);     /* the relay loses its connections; NULL: it has none */
    /* Sets what the source needs beside url_key; NULL: it has `mode` and `poll_interval`. */
    void (*configure)(const struct conf_key *keys, void *conf);
    /* A server that sends by itself: whether it may have something from before this moment that
     * lies behind the event position. NULL: an empty read says that there is nothing. */
    bool (*sends)(struct outbox *o, const char *position);
};

/* No session of the relay at PostgreSQL is as this condition on pg_stat_activity says. */
bool outbox_no_session_is(struct outbox *o, const char *condition);

/* Of a source <name>: outbox_kind_<name>. */
extern const struct outbox_kind outbox_kind_outbox_postgres, outbox_kind_outbox_sqlite,
    outbox_kind_cdc_postgres;
