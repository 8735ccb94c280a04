/*
 * Tables without a key, when a snapshot goes on: read again as they are at one exact place of the
 * stream, which a temporary slot's exported snapshot stands for. One thread.
 */
#pragma once

#include "cdc/snapshot/plan.h"

struct snapshot_bare;
struct snapshot_resume_row;

/* Of the plan's tables from `first` on those without a key; *ret NULL if there are none. The slot
 * is gone when it answers; the snapshot is kept by the reading connection. Waits. */
int snapshot_bare_open(const struct snapshot_options *opt, const struct snapshot_plan *plan,
                       size_t first, struct snapshot_bare **ret, struct error *err) MUST_CHECK;
void snapshot_bare_close(struct snapshot_bare *b); /* NULL is fine */

/* A transaction begins: is it the first one that the snapshot does not see? Then the stream is
 * held, and rows are given. */
void snapshot_bare_begin(struct snapshot_bare *b, uint64_t commit_lsn);
bool snapshot_bare_holds(const struct snapshot_bare *b);

/* Is this one of the tables, and its place not yet reached? Then the snapshot has all of it. */
bool snapshot_bare_covers(const struct snapshot_bare *b, const struct change_table *t);

/* cells NULL: they are over. */
int snapshot_bare_next(struct snapshot_bare *b, struct arena *arena,
                       struct snapshot_resume_row *ret, struct error *err) MUST_CHECK;
void snapshot_bare_poll_fds(struct snapshot_bare *b, struct poll_set *set);
