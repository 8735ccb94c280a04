/* Statements on a PostgreSQL connection: no wait without an end, and every failure comes back with
 * its class. */
#include "db/internal.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* After stop_fd became readable a statement under way may still end normally: the drain saves and
 * records with it. */
enum { STOP_GRACE_US = 1000000 };

/* With TLS, bytes that OpenSSL has already decrypted do not show on the socket; libpq has no call
 * that tells. */
enum { TLS_POLL_US = 50000 };

/* A deadline counts answers: so many bytes of one are a sign of life, for a large one may take
 * longer than read_timeout on a slow link. A few of them, or words that nobody asked for, are none.
 */
enum { LIFE_BYTES = 8192 };

/* Our statements have a dozen results at most, and the server itself ends them after one
 * read_timeout: the rest is for a slow link. */
enum { RESULTS_MAX = 1000, TIMEOUTS_MAX = 20 };

int pg_fail_lost(struct pg *c, struct error *err)
{
    char text[512];
    pg_flatten(c->flooded ? "the server sends without end what was not asked for"
                          : PQerrorMessage(c->conn),
               text, sizeof text);
    c->lost = true;
    c->busy = false;
    error_set(err, ERROR_RETRY, "postgres", "the connection to PostgreSQL was lost: %s",
              text[0] ? text : "no reason given");
    return error_code(err, PG_CONNECTION_FAILURE);
}

static int fail_given_up(struct error *err)
{
    error_set(err, ERROR_RETRY, "postgres",
              "the connection to PostgreSQL is gone; it must be opened again");
    return error_code(err, PG_CONNECTION_DOES_NOT_EXIST);
}

/* A statement that timed out still runs on the server, so the connection cannot be used for
 * anything else. */
static int fail_timeout(struct pg *c, struct error *err)
{
    c->lost = true;
    c->busy = false;
    error_set(err, ERROR_RETRY, "postgres",
              "PostgreSQL gave no answer for %lld ms (read_timeout); server or network hangs",
              (long long)(c->read_timeout_us / US_PER_MS));
    return error_code(err, PG_TIMEOUT);
}

static int fail_stopped(struct pg *c, struct error *err)
{
    c->lost = true;
    c->busy = false;
    error_set(err, ERROR_RETRY, "postgres",
              "gave up waiting for a statement: the process is asked to stop");
    return error_code(err, PG_STOPPED);
}

/* --- sending --- */

static int sent(struct pg *c, int ok, bool single_row, bool prepared, struct error *err)
{
    if (!ok) {
        if (PQstatus(c->conn) == CONNECTION_BAD) {
            return pg_fail_lost(c, err);
        }
        char text[512];
        pg_flatten(PQerrorMessage(c->conn), text, sizeof text);
        return error_set(err, ERROR_FATAL, "postgres", "libpq refused a statement: %s", text);
    }
    if (single_row && !PQsetSingleRowMode(c->conn)) {
        return error_set(err, ERROR_FATAL, "postgres", "libpq refused single-row mode");
    }
    c->busy = true;
    c->lived = false;
    c->results = 0;
    c->single_row = single_row;
    c->life_bytes = c->result_bytes = pg_bytes_come(c);
    c->prepared = prepared;
    c->life_us = c->sent_us = clock_mono_us();
    int flushed = PQflush(c->conn);
    c->unflushed = flushed > 0;
    return flushed < 0 ? pg_fail_lost(c, err) : RESULT_DONE;
}

static int may_send(const struct pg *c, struct error *err)
{
    if (c->lost) {
        return fail_given_up(err);
    }
    if (c->busy) {
        return error_set(err, ERROR_FATAL, "postgres",
                         "a statement was sent while another one runs");
    }
    return RESULT_DONE;
}

int pg_send(struct pg *c, const char *sql, size_t n, const char *const *params, bool single_row,
            struct error *err)
{
    if (may_send(c, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    int ok = PQsendQueryParams(c->conn, sql, (int)n, NULL, params, NULL, NULL, 0);
    return sent(c, ok, single_row, false, err);
}

int pg_send_prepared(struct pg *c, const char *name, size_t n, const char *const *params,
                     bool single_row, struct error *err)
{
    if (may_send(c, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    int ok = PQsendQueryPrepared(c->conn, name, (int)n, params, NULL, NULL, 0);
    return sent(c, ok, single_row, true, err);
}

/* --- taking --- */

enum { ROUNDS_MAX = 128 };

static bool readable(const struct pg *c)
{
    struct pollfd fd = {.fd = PQsocket(c->conn), .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

/* Notifications would pile up in libpq for as long as a statement runs: all that matters is that
 * one came. */
static void take_notes(struct pg *c)
{
    for (PGnotify *note; (note = PQnotifies(c->conn)) != NULL;) {
        size_t len = strlen(note->extra) + strlen(note->relname);
        c->life_bytes += len;
        c->result_bytes += len;
        PQfreemem(note);
        c->notified = true;
    }
}

static bool is_flooded(struct pg *c, uint64_t come)
{
    c->flooded = come > c->result_bytes && come - c->result_bytes > c->answer_most;
    return c->flooded;
}

/* Reads what has come without waiting. DONE: PQgetResult will not block. */
static int advance(struct pg *c, struct error *err)
{
    if (c->unflushed) {
        int flushed = PQflush(c->conn);
        if (flushed < 0) {
            return pg_fail_lost(c, err);
        }
        c->unflushed = flushed > 0;
    }
    if (!PQisBusy(c->conn)) {
        c->lived = true;
        return RESULT_DONE;
    }
    /* PQconsumeInput reads a few KB at a time; more is taken at once, so that a server whose client
     * looks only now and then can end its statement. */
    int rounds = 0;
    do {
        for (int i = pg_encrypted(c) ? 2 : 1; i > 0; i--) {
            if (!PQconsumeInput(c->conn)) {
                return pg_fail_lost(c, err);
            }
        }
        take_notes(c);
    } while (++rounds < ROUNDS_MAX && PQisBusy(c->conn) && readable(c));
    if (!PQisBusy(c->conn)) {
        c->lived = true;
        return RESULT_DONE;
    }
    int64_t now = clock_mono_us();
    uint64_t come = pg_bytes_come(c);
    if (is_flooded(c, come)) {
        return pg_fail_lost(c, err);
    }
    if (c->lived || (come > c->life_bytes && come - c->life_bytes >= LIFE_BYTES)) {
        c->lived = false;
        c->life_us = now;
        c->life_bytes = come;
    }
    bool too_long = !c->single_row && now - c->sent_us >= TIMEOUTS_MAX * c->read_timeout_us;
    if (too_long || now - c->life_us >= c->read_timeout_us) {
        return fail_timeout(c, err);
    }
    return RESULT_AGAIN;
}

int pg_take(struct pg *c, struct pg_result **ret, struct error *err)
{
    if (c->lost) {
        return fail_given_up(err);
    }
    if (!c->busy) {
        *ret = NULL;
        return RESULT_DONE;
    }
    int rc = advance(c, err);
    if (rc != RESULT_DONE) {
        return rc;
    }
    PGresult *r = PQgetResult(c->conn);
    if (!r) {
        c->busy = false;
        *ret = NULL;
        return PQstatus(c->conn) == CONNECTION_BAD ? pg_fail_lost(c, err) : RESULT_DONE;
    }
    if (c->single_row) {
        c->result_bytes = pg_bytes_come(c);
    } else if (++c->results > RESULTS_MAX) {
        PQclear(r);
        c->flooded = true;
        return pg_fail_lost(c, err);
    }
    switch (PQresultStatus(r)) {
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        *ret = (struct pg_result *)r;
        return RESULT_DONE;
    case PGRES_COPY_BOTH:
        if (c->wants_copy) {
            c->busy = false;
            *ret = (struct pg_result *)r;
            return RESULT_DONE;
        }
        __attribute__((fallthrough));
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
        PQclear(r);
        c->lost =
            true; /* nobody here speaks COPY, and PQgetResult would give this answer for ever */
        c->busy = false;
        return error_set(err, ERROR_FATAL, "postgres", "a COPY statement was sent as a query");
    default:
        pg_fail_result(c, r, err);
        PQclear(r);
        if (PQstatus(c->conn) == CONNECTION_BAD) {
            c->lost = true;
            c->busy = false;
        }
        return RESULT_ERROR;
    }
}

void pg_expect_values(struct pg *c)
{
    c->answer_most = PG_VALUES_MOST;
}

bool pg_busy(const struct pg *c)
{
    return c->busy;
}

bool pg_alive(const struct pg *c)
{
    return !c->lost && PQstatus(c->conn) == CONNECTION_OK;
}

/* Takes in what came on an idle connection: a NOTIFY, a notice, the news that the server has gone.
 */
static bool listen_idle(struct pg *c)
{
    if (!PQconsumeInput(c->conn)) {
        return false;
    }
    take_notes(c);
    return PQstatus(c->conn) == CONNECTION_OK && !is_flooded(c, pg_bytes_come(c));
}

int pg_notified(struct pg *c, bool *ret, struct error *err)
{
    if (c->lost) {
        return fail_given_up(err);
    }
    if (!listen_idle(c)) {
        return pg_fail_lost(c, err);
    }
    *ret = c->notified;
    c->notified = false;
    return RESULT_DONE;
}

void pg_poll_fds(struct pg *c, struct poll_set *set)
{
    if (c->lost) {
        return; /* the next call says so; a dead descriptor would wake the poll for ever */
    }
    if (c->busy) {
        poll_set_deadline(set, c->life_us + c->read_timeout_us);
        if (pg_encrypted(c)) {
            poll_set_deadline(set, clock_mono_us() + TLS_POLL_US);
        }
    } else if (!listen_idle(c)) {
        c->lost = true;
        return;
    }
    if (c->notified) {
        poll_set_deadline(set, clock_mono_us()); /* it is out of the socket already */
    }
    poll_set_add(set, PQsocket(c->conn), c->unflushed ? POLLIN | POLLOUT : POLLIN);
}

/* --- waiting for answers --- */

/* Waits for the next result of pg_take, which itself notices the timeout. */
static int take_wait(struct pg *c, struct pg_result **ret, struct error *err)
{
    int64_t stop_us = DEADLINE_NEVER;
    for (;;) {
        int rc = pg_take(c, ret, err);
        if (rc != RESULT_AGAIN) {
            return rc;
        }
        struct poll_set set;
        poll_set_clear(&set);
        pg_poll_fds(c, &set);
        size_t stop_index = set.count;
        if (stop_us == DEADLINE_NEVER) {
            poll_set_add(&set, c->stop_fd, POLLIN);
        }
        poll_set_deadline(&set, stop_us);
        int n = poll_set_wait(&set);
        int64_t now = clock_mono_us();
        if (n > 0 && stop_index < set.count && set.fds[stop_index].revents) {
            stop_us = now + STOP_GRACE_US;
        } else if (now >= stop_us) {
            return fail_stopped(c, err);
        }
    }
}

/* Takes everything up to the end of the statement; the last result is kept, the first error wins.
 */
static int finish(struct pg *c, struct pg_result **ret, struct error *err)
{
    struct pg_result *last = NULL;
    bool failed = false;
    while (c->busy) {
        struct pg_result *r = NULL;
        struct error later;
        int rc = take_wait(c, &r, failed ? &later : err);
        failed = failed || rc != RESULT_DONE;
        if (r) {
            pg_result_free(last);
            last = r;
        }
    }
    if (failed || !ret) {
        pg_result_free(last);
        last = NULL;
    }
    if (failed) {
        return RESULT_ERROR;
    }
    if (ret) {
        *ret = last;
    }
    return RESULT_DONE;
}

/* What is left of an earlier statement that failed or was not read to its end. */
static int ready_to_query(struct pg *c, struct error *err)
{
    struct error
        ignored; /* it belongs to the earlier statement; a lost connection shows in may_send */
    (void)finish(c, NULL, &ignored);
    return may_send(c, err);
}

int pg_query(struct pg *c, const char *sql, size_t n, const char *const *params,
             struct pg_result **ret, struct error *err)
{
    if (ready_to_query(c, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    int ok = n == 0 ? PQsendQuery(c->conn, sql)
                    : PQsendQueryParams(c->conn, sql, (int)n, NULL, params, NULL, NULL, 0);
    if (sent(c, ok, false, false, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    return finish(c, ret, err);
}

int pg_start_copy(struct pg *c, const char *sql, struct error *err)
{
    if (ready_to_query(c, err) != RESULT_DONE ||
        sent(c, PQsendQuery(c->conn, sql), false, false, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    struct pg_result *r = NULL;
    c->wants_copy = true;
    int rc = take_wait(c, &r, err);
    c->wants_copy = false;
    bool copying = rc == RESULT_DONE && PQresultStatus((PGresult *)r) == PGRES_COPY_BOTH;
    pg_result_free(r);
    if (rc == RESULT_DONE && !copying) {
        error_set(err, ERROR_RETRY, "postgres", "PostgreSQL began no copy of its changes");
    }
    return copying ? RESULT_DONE : RESULT_ERROR;
}

int pg_prepare(struct pg *c, const char *name, const char *sql, size_t n, struct error *err)
{
    if (ready_to_query(c, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    if (sent(c, PQsendPrepare(c->conn, name, sql, (int)n, NULL), false, false, err) !=
        RESULT_DONE) {
        return RESULT_ERROR;
    }
    return finish(c, NULL, err);
}

/* --- cancel and close --- */

static void *cancel_thread(void *arg)
{
    PGcancel *cancel = arg;
    char text[256];
    (void)PQcancel(cancel, text,
                   sizeof text); /* nobody waits for it; statement_timeout ends the rest */
    PQfreeCancel(cancel);
    return NULL;
}

/* PQcancel connects and waits without a timeout of its own (libpq 15), so it runs on a thread of
 * its own that nobody waits for. It may come too late and hit the connection's next statement: that
 * one then fails with RETRY/57014. */
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

void pg_close(struct pg *c)
{
    if (!c) {
        return;
    }
    pg_cancel(c);
    PQfinish(c->conn);
    free(c);
}

int pg_server_version(const struct pg *c)
{
    return PQserverVersion(c->conn);
}

int pg_backend_pid(const struct pg *c)
{
    return PQbackendPID(c->conn);
}
