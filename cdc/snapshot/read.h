/*
 * Reads the tables of a plan under one imported snapshot, chunk after chunk in the plan's order,
 * over several connections.
 *
 * A chunk is a range of keys that holds about CHUNK_BYTES. Its connection first asks where the
 * range ends, which costs little, and then reads the range. Meanwhile the next connection asks
 * where the next range ends. A table without a key is one chunk.
 *
 * Rows are taken from a connection one at a time, and only when it is their chunk's turn. Until
 * then they stay in the socket, so the sockets' buffers bound what is read ahead.
 *
 * All calls on the pipeline's thread.
 */
#pragma once

#include "cdc/snapshot/plan.h"

struct snapshot_read;

/* Opens an ordinary connection with settings for long reading. Statements and transactions have no
 * timeout. Row security policies do not hide rows: where one would, the statement fails. The caller
 * closes *ret. Waits, bounded by the timeouts in *opt. ERROR: as pg_connect. */
int snapshot_connect(const struct snapshot_options *opt, struct pg **ret,
                     struct error *err) MUST_CHECK;

/* Imports the snapshot named `exported` into `connections` connections of its own, locks the plan's
 * tables against a rewrite and begins to read them. `from` says what is left to be read; NULL: all.
 * `plan` must outlive *ret, which the caller closes. Waits.
 * ERROR: RETRY when a table was rewritten, altered, dropped or locked by somebody else meanwhile (a
 * new snapshot must be taken); CONFIG when SELECT is missing. */
int snapshot_read_open(const struct snapshot_options *opt, const struct snapshot_plan *plan,
                       const char *exported, size_t connections, const struct snapshot_rest *from,
                       struct snapshot_read **ret, struct error *err) MUST_CHECK;
void snapshot_read_close(struct snapshot_read *r); /* NULL is fine */

/* The next row (one row, which the caller frees with pg_result_free) and the index of its table in
 * the plan. DONE with *ret NULL: all rows were given. AGAIN: the server has not sent it yet. ERROR:
 * the connection or the statement failed; the text names the table. */
int snapshot_read_next(struct snapshot_read *r, size_t *ret_table, struct pg_result **ret,
                       struct error *err) MUST_CHECK;

/* What to wait for after AGAIN. */
void snapshot_read_poll_fds(struct snapshot_read *r, struct poll_set *set);
