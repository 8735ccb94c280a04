/*
 * Keeps the session that holds a pipeline's lock, for as long as this process shows that it lives.
 *
 * A thread of its own asks the server something several times within the lease. The server ends a
 * session that is silent for that long (idle_session_timeout), and the lock with it: so a relay
 * that is frozen or cut off makes room for another one. Private to relay/store.
 */
#pragma once

#include "db/pg.h"

struct pg_lease;

/* Takes over a connection that holds the lock, also when it fails. lease_us 0: the server never
 * ends the session by itself. RETRY when no thread can be had. */
int pg_lease_new(struct pg *locked, int64_t lease_us, struct pg_lease **ret,
                 struct error *err) MUST_CHECK;

/* Is the lock still ours? False once the connection was lost, or once the last answer is older than
 * the lease: the server may have ended the session by then. Any thread. */
bool pg_lease_held(const struct pg_lease *l);

/* Gives the lock up. NULL is fine. */
void pg_lease_free(struct pg_lease *l);
