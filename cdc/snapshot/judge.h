/*
 * May a requested snapshot be read? Asked before the first row is, by the command that makes the
 * request and by the relay that does it.
 */
#pragma once

#include "cdc/snapshot/plan.h"

/* CONFIG, with the table's name and the remedy: no table of the publication is meant, one has no
 * key, the predicate is no condition of its rows, or the server is a standby; 77 where SELECT is
 * missing. RETRY as db/pg.h says. Reads no row. Waits. */
int snapshot_judge(const struct snapshot_options *opt, const struct snapshot_plan *plan,
                   struct pg *sql, struct error *err) MUST_CHECK;
