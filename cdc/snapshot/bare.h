/*
 * Tables without a key, when an interrupted snapshot goes on.
 *
 * Their rows cannot be told apart, so a change in the stream cannot replace a row that was read.
 * These tables are therefore read again from the beginning, as they were at one exact LSN. A
 * temporary replication slot gives that LSN and exports the snapshot that belongs to it.
 *
 * All calls on the pipeline's thread.
 */
#pragma once

#include "cdc/snapshot/plan.h"

struct snapshot_bare;
struct snapshot_resume_row;

/* Begins to read the tables without a key among plan->tables[first..]. *ret is NULL if there are
 * none; else the caller closes it. `plan` must outlive it. Waits (for the slot: until the
 * transactions open now have ended, at most read_timeout_us). The temporary slot is dropped before
 * this returns: the reading connection keeps the snapshot. ERROR: as stream_create_slot and
 * snapshot_read_open give it. */
int snapshot_bare_open(const struct snapshot_options *opt, const struct snapshot_plan *plan,
                       size_t first, struct snapshot_bare **ret, struct error *err) MUST_CHECK;
void snapshot_bare_close(struct snapshot_bare *b); /* NULL is fine */

/* To be called for each transaction of the stream, before its changes; commit_lsn is that of its
 * commit record. The first transaction that the snapshot does not see stops the stream:
 * snapshot_bare_holds is true from then on, and snapshot_bare_next gives the rows. */
void snapshot_bare_begin(struct snapshot_bare *b, uint64_t commit_lsn);
bool snapshot_bare_holds(const struct snapshot_bare *b);

/* True: the snapshot contains this change of table `t` already, so the event is left out. That is
 * so until the stream reaches the snapshot's LSN. */
bool snapshot_bare_covers(const struct snapshot_bare *b, const struct change_table *t);

/* The next row, its cells copied into `arena`; cells NULL: all rows were given. AGAIN: the server
 * has not sent it yet. ERROR: as snapshot_read_next. */
int snapshot_bare_next(struct snapshot_bare *b, struct arena *arena,
                       struct snapshot_resume_row *ret, struct error *err) MUST_CHECK;
/* What to wait for after AGAIN. */
void snapshot_bare_poll_fds(struct snapshot_bare *b, struct poll_set *set);
