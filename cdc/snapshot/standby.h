/*
 * An interrupted snapshot cannot go on on a standby, where nobody can write a watermark.
 */
#pragma once

#include "cdc/snapshot/snapshot.h"

/* CONFIG, with the ways out, if `sql` is a connection to a standby. Waits. */
int snapshot_standby_judge(const struct snapshot_options *opt, struct pg *sql,
                           struct error *err) MUST_CHECK;
