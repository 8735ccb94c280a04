/*
 * What test_source.c stands on: a server with a log of transactions, and nothing of libpq. It
 * sends again what libpq would send again, and each message lives no longer than the contract says.
 */
#pragma once

#include "base/buf.h"
#include "cdc/conf.h"
#include "cdc/stream/stream.h"

enum { FAKE_MESSAGES = 60, FAKE_TABLES = 10 };

/* One thing the stream says. */
struct fake_message {
    struct buf bytes;   /* DATA */
    uint64_t keepalive; /* KEEPALIVE with this wal_end, if not 0 */
    bool reply_wanted;
    bool refuse;     /* the server fails here */
    bool pause;      /* the socket is empty once */
    uint64_t commit; /* of the transaction it belongs to; 0: of none */
};

struct fake_server {
    struct fake_message log[FAKE_MESSAGES];
    size_t count;
    uint64_t commit; /* of the transaction being written */

    size_t at;                   /* the message sent next */
    bool described[FAKE_TABLES]; /* by OID: the connection has been told of this table */
    uint64_t started;            /* START_REPLICATION */
    uint64_t confirmed;
    bool confirmed_now;
    uint32_t timeline; /* as a query says; 0: a standby */
    bool publication_gone, table_gone, slot_gone;
    bool side_dead;
    unsigned unknown_asks; /* so often catalog_ask answers AGAIN */
    bool unknown;          /* relations are unknown until asked for */
    bool unknown_fails;    /* catalog_ask fails, and the end of its query comes later: */
    unsigned rest;         /* pg_take answers AGAIN so often before it gives that end */
};

extern struct fake_server server;

/* Snapshots: each gives `rows` rows of a table of its own, whose only column is the key, "1" and so
 * on, behind the one that its place names. */
struct fake_snapshots {
    unsigned rows;
    unsigned opened, closed;
    char last[100];          /* request that was opened last: "tables|where" */
    enum error_class refuse; /* snapshot_open fails so */
    enum error_class fails;  /* snapshot_next fails so, behind the first row */
    bool stands;             /* snapshot_next answers AGAIN, behind the first row */
};
extern struct fake_snapshots snapshots;

void fake_reset(void);

/* Writing the log. */
void fake_begin(uint64_t commit);
void fake_commit(uint64_t end);
void fake_relation(uint32_t oid, char identity, const char *name, const char *columns);
void fake_insert(uint32_t oid, const char *row);
void fake_update(uint32_t oid, char old, const char *before, const char *after);
void fake_delete(uint32_t oid, char old, const char *before);
void fake_truncate(uint32_t oid, uint32_t oid2);
void fake_emit(bool transactional, const char *prefix, const char *content);
void fake_raw(const char *bytes, size_t len);
void fake_keepalive(uint64_t wal_end, bool reply_wanted);
void fake_refuse(void);
void fake_pause(void);
