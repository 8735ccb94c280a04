/* Asks the server to cancel a statement, without waiting for it. */
#include "db/internal.h"

#include <pthread.h>
#include <signal.h>

static void *cancel_thread(void *arg)
{
    PGcancel *cancel = arg;
    char text[256];
    (void)PQcancel(cancel, text,
                   sizeof text); /* if it fails, statement_timeout ends the statement */
    PQfreeCancel(cancel);
    return NULL;
}

/* PQcancel opens a connection and waits for it without a timeout (libpq 15). So it runs on a
 * detached thread, or a network that hangs would stop the caller. All signals are blocked while the
 * thread is made, so that it inherits that and gets none of the process's signals. A request that
 * arrives late hits the connection's next statement, which then fails with RETRY/57014. */
static void send_cancel(struct pg *c)
{
    PGcancel *cancel = PQgetCancel(c->conn);
    if (!cancel) {
        return;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    if (pthread_create(&thread, &attr, cancel_thread, cancel) != 0) {
        PQfreeCancel(cancel);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
}

void pg_cancel(struct pg *c)
{
    if (c->busy && !c->lost) {
        send_cancel(c);
    }
}

void pg_abandon(struct pg *c)
{
    if (c->lost && PQstatus(c->conn) == CONNECTION_OK) {
        send_cancel(c);
    }
}
