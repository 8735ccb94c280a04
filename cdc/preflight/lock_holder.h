/*
 * Who holds the lock on a table that a statement gave up waiting for (lock_timeout).
 */
#pragma once

#include "db/pg.h"

/* For sessions that may have to lock tables: whoever alters one in a transaction that stays open is
 * named within a second, instead of waited for in silence. */
#define LOCK_TIMEOUT_SQL "set lock_timeout = '1s'"

/* If err is 55P03, adds the table and its holder, which are looked for on `sql` (a transaction that
 * failed there is rolled back). `tables`: the OIDs of those in question, as an array's text,
 * partitions included; "{}": any. Always -1. Waits. */
int lock_holder_name(struct pg *sql, const char *tables, struct error *err);
