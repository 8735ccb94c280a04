/*
 * Statements on a PostgreSQL connection: sending them, taking their results, waiting.
 *
 * The hard part is when to give up. A server or a network that hangs must not stop the relay for
 * ever, and a large answer over a slow link must not be cut off. So a statement fails with
 * PG_TIMEOUT when read_timeout has passed without a sign of life (a complete result, or LIFE_BYTES
 * of one), or when all of it takes TIMEOUTS_MAX times as long. And a server that sends without end
 * must not fill the memory, so the bytes (answer_most) and results (RESULTS_MAX) of an answer are
 * limited.
 */
#include "db/internal.h"

#include <poll.h>
#include <stdlib.h>

/* After stop_fd became readable, a statement under way gets this long to end: it may be the save of
 * the drain. */
enum { STOP_GRACE_US = 1000000 };

/* How often to look for data while the connection is encrypted: bytes that OpenSSL has already
 * decrypted do not show on the socket, and libpq has no call to ask for them. */
enum { TLS_POLL_US = 50000 };

/* So many bytes of an answer are a sign of life, because a large answer may take longer than
 * read_timeout on a slow link. Fewer are none: a server that sends one byte now and then would be
 * waited for without end. Notices and notifications do not count. */
enum { LIFE_BYTES = 8192 };

/* A large answer streams in: the server calls send() for each 8 KiB of it. A reader that waits in
 * poll is woken each time; a page of 500 KB wakes it sixty times, and costs the server as many
 * wake-ups. So once a look has found PIECE_BYTES of an answer that is not whole, the next look is
 * after NAP_US, without the socket. A look that finds less goes back to the socket: then a slow
 * link does not keep us awake. The nap is short beside what the buffers of both sides hold, so the
 * server need not wait for us. */
enum { PIECE_BYTES = 4096, NAP_US = 200 };

/* RESULTS_MAX: our statements have a dozen results at most, so a server that sends more sends
 * without end. TIMEOUTS_MAX: a statement as a whole may take so many read_timeouts. The server
 * itself ends it after one (statement_timeout); the others are for sending the answer over a slow
 * link. */
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

/* The statement may still run on the server and its answer may still come. The next statement would
 * take that for its own answer, so the connection is given up. */
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
    c->lived = c->streams = false;
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
    if (may_send(c, err)) {
        return RESULT_ERROR;
    }
    int ok = PQsendQueryParams(c->conn, sql, (int)n, NULL, params, NULL, NULL, 0);
    return sent(c, ok, single_row, false, err);
}

int pg_send_prepared(struct pg *c, const char *name, size_t n, const char *const *params,
                     bool single_row, struct error *err)
{
    if (may_send(c, err)) {
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

/* Takes notifications out of libpq, where they would use up memory while a statement runs. All that
 * matters is that one came. */
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

/* Sends and reads what is possible without waiting. DONE: PQgetResult will not block. AGAIN: the
 * result is not complete. */
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
    /* PQconsumeInput reads a few KB. Here more is read at once, because the pipeline's thread comes
     * back only now and then, and the server cannot end its statement before all is sent. An
     * encrypted connection is read twice: bytes that the first call left decrypted in the library
     * do not show in `readable`. */
    int rounds = 0;
    c->streams = pg_bytes_waiting(c) >= PIECE_BYTES;
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
    if (rc) {
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
            true; /* COPY is not implemented here, and PQgetResult would return this for ever */
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

/* Reads what has come on an idle connection: a NOTIFY, a notice, or that the server has closed it
 * (false). */
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
        return; /* a closed socket would wake the poll for ever; the next call returns the error */
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
        /* It was read from the socket already, which therefore would not wake the poll. */
        poll_set_deadline(set, clock_mono_us());
    }
    if (c->busy && c->streams && !c->unflushed) {
        poll_set_deadline(set, clock_mono_us() + NAP_US);
        return;
    }
    poll_set_add(set, PQsocket(c->conn), c->unflushed ? POLLIN | POLLOUT : POLLIN);
}

/* --- waiting for answers --- */

/* pg_take that waits for the result. pg_take itself notices read_timeout; this notices stop_fd. */
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

/* Takes all results up to the end of the statement. *ret is the last one; if several fail, *err is
 * the first error. */
static int finish(struct pg *c, struct pg_result **ret, struct error *err)
{
    struct pg_result *last = NULL;
    bool failed = false;
    while (c->busy) {
        struct pg_result *r = NULL;
        struct error later;
        int rc = take_wait(c, &r, failed ? &later : err);
        failed = failed || rc;
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

/* Takes and drops what is left of an earlier statement that failed or was not read to its end. */
static int ready_to_query(struct pg *c, struct error *err)
{
    struct error
        ignored; /* of the earlier statement; may_send returns it if the connection was lost */
    (void)finish(c, NULL, &ignored);
    return may_send(c, err);
}

int pg_query(struct pg *c, const char *sql, size_t n, const char *const *params,
             struct pg_result **ret, struct error *err)
{
    if (ready_to_query(c, err)) {
        return RESULT_ERROR;
    }
    int ok = n == 0 ? PQsendQuery(c->conn, sql)
                    : PQsendQueryParams(c->conn, sql, (int)n, NULL, params, NULL, NULL, 0);
    if (sent(c, ok, false, false, err)) {
        return RESULT_ERROR;
    }
    return finish(c, ret, err);
}

int pg_start_copy(struct pg *c, const char *sql, struct error *err)
{
    if (ready_to_query(c, err) || sent(c, PQsendQuery(c->conn, sql), false, false, err)) {
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
    if (ready_to_query(c, err)) {
        return RESULT_ERROR;
    }
    if (sent(c, PQsendPrepare(c->conn, name, sql, (int)n, NULL), false, false, err) !=
        RESULT_DONE) {
        return RESULT_ERROR;
    }
    return finish(c, NULL, err);
}

/* --- the connection --- */

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
