/*
 * An interrupted snapshot cannot go on on a standby: nobody can write a watermark there.
 */
#pragma once

#include "cdc/snapshot/snapshot.h"

/* CONFIG, with the ways out in the text, if `sql` is a connection to a standby. `sql` has to be
 * idle. Waits. The pipeline's thread. */
int snapshot_standby_judge(const struct snapshot_options *opt, struct pg *sql,
                           struct error *err) MUST_CHECK;
