/*
 * libcommitrelay-inbox: claims an event id inside the caller's own transaction, so that an event
 * that comes twice is handled once.
 *
 *     begin                                            the caller's own transaction
 *     cr_inbox_claim_pg(conn, "billing", event_id)     1: new, do the work; 0: seen before, skip it
 *     ...the work, in the same database...
 *     commit                                           claim and work are there, or neither is
 *
 * The table `inbox` and, in PostgreSQL, the function `inbox_claim` are made by
 * `commitrelay init --source URL --inbox`.
 *
 * Threads: one connection is used by one thread at a time, as libpq and SQLite ask for. Threads
 * with a connection each need no lock. Memory: the library allocates none and keeps nothing between
 * two calls; libpq and SQLite allocate what one statement needs and free it before the call ends.
 * The strings are borrowed during the call: UTF-8, not NULL, not empty.
 *
 * C99 or later, or C++.
 */
#ifndef COMMITRELAY_INBOX_H
#define COMMITRELAY_INBOX_H

/* Semantic versioning: programs that were linked with 1.x run with every later 1.y. */
#define CR_INBOX_VERSION "1.0.0"

#if defined(__GNUC__)
#define CR_INBOX_API __attribute__((visibility("default")))
#else
#define CR_INBOX_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct pg_conn; /* PGconn of libpq-fe.h */
struct sqlite3; /* sqlite3 of sqlite3.h */

/*
 * Claims `event_id` for `consumer` with the connection's inbox_claim(text, text), which is looked
 * for along the search_path. The caller has begun a transaction. One statement, one round trip
 * (PQexecParams: nothing is prepared, so poolers that change the server between transactions do no
 * harm).
 *
 * Returns 1: this transaction has the claim. A rollback gives it back.
 *         0: it was claimed and committed before. Skip the work, and commit.
 *        -1: failed, see cr_inbox_error. Nothing is claimed. Roll back; what failed for a while
 *            (a lost connection, a deadlock, a serialization failure) can be begun again then.
 *
 * While another transaction holds the same claim, the call waits for its end: 0 after its commit, 1
 * after its rollback. lock_timeout bounds that wait. Where the isolation level is repeatable read
 * or serializable, a claim that another transaction committed meanwhile is -1 (SQLSTATE 40001).
 *
 * -1 without asking the server: no transaction is open (the claim would be committed at once, and a
 * crash before the work would lose the event), a query is under way on the connection, a string is
 * NULL or empty.
 */
CR_INBOX_API int cr_inbox_claim_pg(struct pg_conn *conn, const char *consumer,
                                   const char *event_id);

/*
 * The same in SQLite. The caller has begun a transaction, best with BEGIN IMMEDIATE: SQLite has one
 * writer at a time, so a second consumer waits there, as long as sqlite3_busy_timeout says. After a
 * plain BEGIN the claim itself has to become the writer, and is -1 if another connection is it.
 * After -1, sqlite3_extended_errcode(db) has SQLite's code, if SQLite was asked at all.
 *
 * The statement is prepared in each call and finalized before it ends, so that sqlite3_close finds
 * none.
 */
CR_INBOX_API int cr_inbox_claim_sqlite(struct sqlite3 *db, const char *consumer,
                                       const char *event_id);

/*
 * Why the last call of this thread gave -1: one line with object, cause and remedy, in PostgreSQL
 * with the SQLSTATE. "" after a call that gave 1 or 0. Never NULL; the text stays until this thread
 * calls the library again. It may hold the event id and what the server said, never a password.
 */
CR_INBOX_API const char *cr_inbox_error(void);

/* The version of the library that runs: "1.0.0". Static. */
CR_INBOX_API const char *cr_inbox_version(void);

#ifdef __cplusplus
}
#endif

#endif
