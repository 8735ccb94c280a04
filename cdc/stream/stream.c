/* The replication connection and its copy-both stream. Reading never waits, and hands out each
 * message once and in order. The server is told only LSNs that stream_confirm was given, because it
 * may remove the WAL before them. */
#include "cdc/stream/internal.h"

#include "base/memory.h"
#include "cdc/stream/window.h"
#include "cdc/stream/wire.h"
#include "db/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum {
    ROUNDS_MAX = 64,        /* reads of a message too large for one */
    CLOSE_WAIT_US = 500000, /* for the server to end the stream, so that the slot is free */
    TLS_POLL_US = 50000,    /* with TLS: bytes that OpenSSL has decrypted already do not make the
                               socket readable, so look again after this time */
};

static PGconn *conn_of(const struct stream *s)
{
    return s->pg->conn;
}

/* --- connecting --- */

/* Does the notice say that the publication does not exist? PostgreSQL 18 only warns then, and skips
 * the changes; 17 and before end the stream. The text depends on the server's language, the name of
 * the function does not. */
static bool tells_of_lost_changes(const PGresult *r)
{
    const char *function = PQresultErrorField(r, PG_DIAG_SOURCE_FUNCTION);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    return (function && strcmp(function, "LoadPublications") == 0) ||
           (text && strstr(text, "skipped loading publication"));
}

static void take_notice(void *ctx, const PGresult *r)
{
    struct stream *s = ctx;
    s->unpublished = s->unpublished || tells_of_lost_changes(r);
}

int stream_connect(const struct stream_options *opt, struct stream **ret, struct error *err)
{
    struct pg_options options = {.url = opt->url,
                                 .pipeline = opt->pipeline,
                                 .connect_timeout_us = opt->connect_timeout_us,
                                 .read_timeout_us = opt->read_timeout_us,
                                 .sender_timeout_us = opt->lease_us,
                                 .stop_fd = opt->stop_fd};
    struct pg *pg;
    if (pg_connect_replication(&options, &pg, err)) {
        return RESULT_ERROR;
    }
    if (opt->plain_money && pg_query(pg, "set lc_monetary = 'C'", 0, NULL, NULL, err)) {
        pg_close(pg);
        return RESULT_ERROR;
    }
    struct stream *s = memory_need(calloc(1, sizeof *s));
    s->pg = pg;
    s->read_timeout_us = opt->read_timeout_us;
    PQsetNoticeReceiver(pg->conn, take_notice, s);
    *ret = s;
    return RESULT_DONE;
}

/* --- starting --- */

static int explain_start(const struct stream_start *start, struct error *err)
{
    if (error_is(err, PG_OBJECT_IN_USE)) {
        err->class = ERROR_RETRY;
        err->exit_code = EXIT_CODE_GAVE_UP;
        error_prefix(err, "slot %s has another reader", start->slot);
        return error_code(err, STREAM_SLOT_ACTIVE);
    }
    if (error_is(err, PG_UNDEFINED_OBJECT)) {
        /* The slot was there a moment ago. RETRY: the next preflight says what may be lost. */
        error_set(err, ERROR_RETRY, "postgres", "slot %s has gone since it was looked at",
                  start->slot);
        return error_code(err, PG_UNDEFINED_OBJECT);
    }
    if (error_is(err, PG_NOT_IN_PREREQUISITE_STATE)) { /* lost, physical, of another database */
        err->class = ERROR_FATAL;
        err->exit_code = EXIT_CODE_UNAVAILABLE;
    }
    return error_prefix(err, "cannot read from slot %s", start->slot);
}

int stream_start(struct stream *s, const struct stream_start *start, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    int64_t timeout_us;
    if (stream_start_text(start, pg_server_version(s->pg), &sql, err) ||
        stream_prepare(s, &timeout_us, err)) {
        return RESULT_ERROR;
    }
    snprintf(s->publication, sizeof s->publication, "%s", start->publication);
    if (pg_start_copy(s->pg, buf_str(&sql), err)) {
        return explain_start(start, err);
    }
    stream_window_narrow(PQsocket(conn_of(s)));
    int64_t now = clock_mono_us();
    stream_timer_init(&s->timer, timeout_us, s->read_timeout_us, now);
    stream_pace_init(&s->pace, now);
    s->start_lsn = s->received = start->lsn;
    s->copying = s->buffered = true;
    return RESULT_DONE;
}

/* --- reading --- */

static size_t unread(const struct stream *s)
{
    int n = 0;
    return ioctl(PQsocket(conn_of(s)), FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

static void release_held(struct stream *s)
{
    PQfreemem(s->held);
    s->held = NULL;
}

/* `cause`: the server's own text, or "". */
static int fail_unpublished(struct stream *s, const char *cause, struct error *err)
{
    char text[200];
    pg_flatten(cause, text, sizeof text);
    release_held(s);
    s->copying = false;
    s->pg->lost = true;
    error_set(
        err, ERROR_CONFIG, "postgres",
        "publication \"%s\" does not exist at the place in the WAL where the stream has arrived%s%s%s: create it again if it is missing; a slot older than its publication cannot be read across that place (take a new snapshot with a new slot, or accept the gap with `position set`)",
        s->publication, text[0] ? " (PostgreSQL: " : "", text, text[0] ? ")" : "");
    return error_code(err, STREAM_UNPUBLISHED);
}

/* The server has ended the stream: with an error, or regularly because it shuts down. PQgetResult
 * does not wait here: the result is in libpq's buffer already. */
static int fail_ended(struct stream *s, struct error *err)
{
    PGresult *r = PQgetResult(conn_of(s));
    ExecStatusType status = r ? PQresultStatus(r) : PGRES_FATAL_ERROR;
    s->copying = false;
    if (r && (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE)) {
        (void)pg_fail_result(s->pg, r, err);
        if (error_is(err,
                     PG_UNDEFINED_OBJECT)) { /* the publication is missing: PostgreSQL 14 to 17 */
            (void)fail_unpublished(s, PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY), err);
        }
    } else if (r) {
        error_set(err, ERROR_RETRY, "postgres",
                  "PostgreSQL has ended the replication stream, as it does when it shuts down");
        error_code(err, PG_ADMIN_SHUTDOWN);
    } else {
        (void)pg_fail_lost(s->pg, err);
    }
    PQclear(r);
    s->pg->lost = true;
    return RESULT_ERROR;
}

static int fail_lost(struct stream *s, struct error *err)
{
    s->copying = false;
    return pg_fail_lost(s->pg, err);
}

static int fail_closed(struct error *err)
{
    error_set(err, ERROR_RETRY, "postgres",
              "the replication stream has ended; it must be opened again");
    return error_code(err, PG_CONNECTION_DOES_NOT_EXIST);
}

/* Turns the message that PQgetCopyData gave (s->held, n bytes) into *ret. */
static int hand_out(struct stream *s, size_t n, struct stream_message *ret, struct error *err)
{
    struct stream_message m;
    if (stream_wire_parse((struct slice){s->held, n}, &m, err)) {
        s->copying = false; /* nothing behind a damaged message can be trusted */
        s->pg->lost = true;
        return RESULT_ERROR;
    }
    s->taken = true;
    stream_pace_took(&s->pace, n);
    s->received = m.wal_end > s->received ? m.wal_end : s->received;
    if (m.reply_wanted) {
        stream_timer_reply_wanted(&s->timer, clock_mono_us());
    }
    *ret = m;
    return RESULT_DONE;
}

/* Everything read is used up: reads the socket. False: not now (a nap, or the socket is empty). */
static bool refill(struct stream *s, unsigned round)
{
    int64_t now = clock_mono_us();
    if (stream_pace_napping(&s->pace, now)) {
        return false;
    }
    size_t waiting = unread(s);
    if (s->taken && stream_pace_nap(&s->pace, waiting, s->received < s->server_lsn, now)) {
        s->taken = false;
        return false;
    }
    bool hidden = pg_encrypted(s->pg);
    if (round >= ROUNDS_MAX || (round > (hidden ? 1 : 0) && waiting == 0)) {
        return false;
    }
    if (waiting > 0) {
        stream_timer_heard(&s->timer, now);
    }
    stream_pace_wake(&s->pace, now);
    s->taken = false;
    s->broken = !PQconsumeInput(conn_of(s));
    return true;
}

int stream_next(struct stream *s, struct stream_message *ret, struct error *err)
{
    if (!s->copying) {
        return fail_closed(err);
    }
    release_held(s);
    for (unsigned round = 0;; round++) {
        int n = PQgetCopyData(conn_of(s), &s->held, 1);
        if (s->unpublished) {
            return fail_unpublished(s, "", err);
        }
        if (n > 0) {
            return hand_out(s, (size_t)n, ret, err);
        }
        if (n < 0) {
            return fail_ended(s, err);
        }
        s->buffered = false;
        if (s->broken) {
            return fail_lost(s, err);
        }
        if (!refill(s, round)) {
            return RESULT_AGAIN;
        }
        s->buffered = true;
    }
}

void stream_forget(struct stream *s)
{
    release_held(s);
}

void stream_poll_fds(struct stream *s, struct poll_set *set)
{
    int64_t now = clock_mono_us();
    if (!s->copying || s->buffered || s->broken) {
        poll_set_deadline(set, now); /* stream_next has a message or an error right now */
    } else if (stream_pace_napping(&s->pace, now)) {
        poll_set_deadline(set, s->pace.until_us);
    } else {
        poll_set_add(set, PQsocket(conn_of(s)), POLLIN);
        if (pg_encrypted(s->pg)) {
            poll_set_deadline(set, now + TLS_POLL_US);
        }
    }
}

bool stream_behind(const struct stream *s)
{
    return stream_pace_behind(&s->pace, s->buffered || s->received < s->server_lsn);
}

uint64_t stream_wal_end(const struct stream *s)
{
    return s->received > s->server_lsn ? s->received : s->server_lsn;
}

/* --- answering --- */

static void flush(struct stream *s)
{
    int rc = PQflush(conn_of(s));
    s->unflushed = rc > 0;
    s->broken = s->broken || rc < 0;
    /* If libpq cannot send, it reads meanwhile: there may be messages in its buffer now. */
    s->buffered = s->buffered || s->unflushed;
}

/* Sends a status update. If the one before is not sent yet, this one is only noted (`owing`): later
 * it can tell a newer LSN. */
static void send_status(struct stream *s, bool ask, int64_t now_us)
{
    char status[STREAM_STATUS_SIZE];
    if (s->unflushed || s->broken) {
        s->owing = true;
        return;
    }
    stream_wire_status(s->received, s->confirmed, clock_wall_us(), ask, status);
    int rc = PQputCopyData(conn_of(s), status, sizeof status);
    s->owing = rc == 0;
    s->broken = s->broken || rc < 0;
    if (rc > 0) {
        s->told = s->confirmed;
        stream_timer_sent(&s->timer, ask, now_us);
        flush(s);
    }
}

void stream_confirm(struct stream *s, uint64_t flushed, bool now)
{
    if (flushed > s->confirmed && flushed >= s->start_lsn) {
        s->confirmed = flushed;
    }
    if (now && s->copying && s->confirmed > s->told) {
        send_status(s, false, clock_mono_us());
    }
}

static int fail_silent(struct stream *s, struct error *err)
{
    s->copying = false;
    s->pg->lost = true;
    error_set(
        err, ERROR_RETRY, "postgres",
        "PostgreSQL gave no sign of life on the replication stream for %lld s, and none within %lld ms (read_timeout) after it was asked for one; server or network hangs",
        (long long)((clock_mono_us() - s->timer.heard_us) / US_PER_SECOND),
        (long long)(s->read_timeout_us / US_PER_MS));
    return error_code(err, PG_TIMEOUT);
}

int stream_tend(struct stream *s, struct error *err)
{
    if (!s->copying) {
        return RESULT_DONE; /* stream_next returns the error */
    }
    if (s->unflushed) {
        flush(s);
    }
    int64_t now = clock_mono_us();
    enum stream_due due = stream_timer_due(&s->timer, now);
    if ((due == STREAM_DUE_ASK || due == STREAM_DUE_DEAD) && unread(s) > 0) {
        stream_timer_heard(&s->timer, now); /* the server has sent; it is we who do not read */
        due = stream_timer_due(&s->timer, now);
    }
    if (due == STREAM_DUE_DEAD) {
        return fail_silent(s, err);
    }
    if (due != STREAM_DUE_NOTHING || s->owing) {
        send_status(s, due == STREAM_DUE_ASK, now);
    }
    return s->broken && !s->buffered ? fail_lost(s, err) : RESULT_DONE;
}

void stream_tend_fds(struct stream *s, struct poll_set *set)
{
    if (!s->copying || s->broken) {
        return;
    }
    if (s->unflushed) {
        poll_set_add(set, PQsocket(conn_of(s)), POLLOUT);
    }
    poll_set_deadline(set, stream_timer_deadline(&s->timer));
}

/* --- ending --- */

/* Takes and drops messages that still come. True: the server has completed the command, so the slot
 * is free. */
static bool has_ended(struct stream *s, bool *copy_ended)
{
    while (!*copy_ended) {
        release_held(s);
        int n = PQgetCopyData(conn_of(s), &s->held, 1);
        if (n == 0) {
            return false;
        }
        *copy_ended = n < 0;
    }
    return !PQisBusy(conn_of(s));
}

/* Waits until the slot is free, at most CLOSE_WAIT_US. Without this, connecting again at once would
 * find the slot in use. */
static void await_end(struct stream *s)
{
    int64_t until = clock_mono_us() + CLOSE_WAIT_US;
    bool copy_ended = false;
    while (!has_ended(s, &copy_ended) && clock_mono_us() < until) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_add(&set, PQsocket(conn_of(s)), s->unflushed ? POLLIN | POLLOUT : POLLIN);
        poll_set_deadline(&set, until);
        poll_set_wait(&set);
        if (!PQconsumeInput(conn_of(s))) {
            return;
        }
        flush(s);
    }
}

void stream_close(struct stream *s)
{
    if (!s) {
        return;
    }
    if (s->copying && !s->broken) {
        send_status(s, false, clock_mono_us());
        if (PQputCopyEnd(conn_of(s), NULL) > 0) {
            flush(s);
            await_end(s);
        }
    }
    release_held(s);
    pg_close(s->pg);
    free(s);
}
