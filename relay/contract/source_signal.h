/*
 * Snapshots that are asked for by command: what `snapshot` wants of a source, and how a relay gets
 * it to the source. Two functions of source_ops:
 *
 * signal   For the command. Appends to *ret_order the argument of an order (STORE_SNAPSHOT). Called
 *          after `open`, without `start`. May wait. CONFIG: the tables or the condition cannot be
 *          read (77: SELECT is missing).
 * obey     For the relay. Appends the cursor from which the source does what the order says, if
 *          everything up to `cursor` is delivered, and what that is, for people. An order that the
 *          cursor has already changes nothing. Called after `open`; no I/O. CONFIG: it cannot be
 *          obeyed.
 */
#pragma once

#include <stdint.h>

enum source_snapshot_act {
    SOURCE_SNAPSHOT_EXECUTE,
    SOURCE_SNAPSHOT_STOP,
    SOURCE_SNAPSHOT_PAUSE,
    SOURCE_SNAPSHOT_RESUME
};

struct source_signal {
    enum source_snapshot_act act;
    const char *id;     /* given by the caller, new each time; shown in the log */
    const char *tables; /* "schema.table", or a pattern; NULL with STOP: all; PAUSE, RESUME: NULL */
    const char *where;  /* EXECUTE: SQL, a condition of the rows; "": all rows */
    int64_t asked_us;   /* now (wall clock) */
};
