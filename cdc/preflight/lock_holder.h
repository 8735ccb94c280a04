/*
 * Names who holds the lock on a table when a statement gave up waiting for it (lock_timeout).
 */
#pragma once

#include "db/pg.h"

/* For sessions that may have to lock tables. Example: somebody alters a table and leaves the
 * transaction open. With this setting the relay names them after a second. Without it the relay
 * would wait in silence. */
#define LOCK_TIMEOUT_SQL "set lock_timeout = '1s'"

/* If the code in *err is 55P03 (lock_not_available), rewrites its text to the table and the process
 * that holds its lock, class RETRY. They are looked for on `sql`; a failed transaction there is
 * rolled back first. `tables`: the OIDs in question as the text of an array, whose partitions count
 * too; "{}": any table. Any other error stays. Always RESULT_ERROR. Waits. */
int lock_holder_name(struct pg *sql, const char *tables, struct error *err);
