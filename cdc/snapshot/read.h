/*
 * Reading the tables of a plan under one imported snapshot: chunk after chunk in the plan's order,
 * over several connections.
 *
 * A chunk is a range of keys that holds about CHUNK_BYTES: its connection first looks where the
 * range ends, which costs little, and then reads it, while the next connection looks for the end of
 * the next range. Rows come one at a time and are left in the sockets until it is their chunk's
 * turn, so what is read ahead is bounded by the sockets' buffers. A table without a key is one
 * chunk. One thread.
 */
#pragma once

#include "cdc/snapshot/plan.h"

struct snapshot_read;

/* An ordinary connection with a session for long reading: no timeouts of statements and
 * transactions, all rows whatever policies say (or an error). Waits. */
int snapshot_connect(const struct snapshot_options *opt, struct pg **ret,
                     struct error *err) MUST_CHECK;

/* Imports the snapshot `exported` in `connections` connections and reads the plan's tables (what is
 * left of them by `from`, if that is not NULL), which
 * are locked against a rewrite first. `plan` outlives it. Waits. */
int snapshot_read_open(const struct snapshot_options *opt, const struct snapshot_plan *plan,
                       const char *exported, size_t connections, const struct snapshot_rest *from,
                       struct snapshot_read **ret, struct error *err) MUST_CHECK;
void snapshot_read_close(struct snapshot_read *r); /* NULL is fine */

/* The next row, the caller's from now on, and its table; DONE with NULL: there is none. */
int snapshot_read_next(struct snapshot_read *r, size_t *ret_table, struct pg_result **ret,
                       struct error *err) MUST_CHECK;

void snapshot_read_poll_fds(struct snapshot_read *r, struct poll_set *set);
