/*
 * Keeps the session that holds a pipeline's lock, for as long as this process shows that it is
 * alive.
 *
 * A thread of its own asks the server something five times within the lease. The server ends a
 * session that is silent for the length of the lease (idle_session_timeout), and with it the lock.
 * So a relay that is frozen or cut off from the server loses the lock, and another one can start.
 *
 * Called by the store's thread, except pg_lease_held. Private to relay/store.
 */
#pragma once

#include "db/pg.h"

struct pg_lease;

/* Sets how long the session may be silent, and (keepalives) how soon the server notices that the
 * network link is gone. lease_us as below. Waits for the server once. */
int pg_lease_session(struct pg *pg, int64_t lease_us, struct error *err) MUST_CHECK;

/* Takes over `locked`, a connection that holds the lock, and closes it even if this fails. lease_us
 * in microseconds; 0: the server never ends the session by itself. Waits for the server once. RETRY
 * when the connection fails or no thread or descriptor can be had. */
int pg_lease_new(struct pg *locked, int64_t lease_us, struct pg_lease **ret,
                 struct error *err) MUST_CHECK;

/* Is the lock still ours? False once the connection was lost, or once the last question that was
 * answered is older than the lease: the server may have ended the session by then. Any thread;
 * never waits. */
bool pg_lease_held(const struct pg_lease *l);

/* Stops the thread and closes the connection, which gives up the lock. NULL is fine. */
void pg_lease_free(struct pg_lease *l);
