/*
 * The streaming replication protocol over libpq (pgdoc: protocol-replication): a walsender
 * connection, its commands, and the copy-both stream. The only file outside core/db that includes
 * libpq-fe.h.
 *
 * Commands wait, bounded by the timeouts and stop_fd. The stream never waits. Every session runs
 * with TimeZone UTC, DateStyle ISO, IntervalStyle postgres, extra_float_digits 3, bytea_output hex,
 * row_security off, an empty search_path, application_name "commitrelay <pipeline>",
 * client_encoding UTF8. Errors are classed as in db/pg.h. One thread.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/poll_set.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

/* Codes of errors of our own; the others are PostgreSQL's. */
#define STREAM_SLOT_ACTIVE "slot_active" /* somebody else reads it */
#define STREAM_UNPUBLISHED "unpublished" /* the publication is not there where the stream is */

struct stream;

struct stream_options {
    const char *url, *pipeline;
    int64_t connect_timeout_us, read_timeout_us;
    int64_t lease_us; /* the server is to free our slot once we are silent for so long; 0: when it
                         likes */
    int stop_fd;
    bool plain_money; /* as in change_shape */
};

/* Connects with replication=database; a pooler in between, or a role without REPLICATION, is told
 * as such (77 with the ALTER ROLE statement). */
int stream_connect(const struct stream_options *opt, struct stream **ret,
                   struct error *err) MUST_CHECK;
/* Ends copying (CopyDone) if it can without a long wait, then closes. NULL is fine. */
void stream_close(struct stream *s);

struct stream_identity {
    uint64_t system_id;
    uint32_t timeline;
    uint64_t flush_lsn; /* the server's WAL flush position */
    char database[64 * 4];
    int server_version; /* 150020 */
};
int stream_identify(struct stream *s, struct stream_identity *ret, struct error *err) MUST_CHECK;

/* TIMELINE_HISTORY: the LSN where `from` was left on the way to `timeline`; *ret_lsn 0 when `from`
 * is not in its history. */
int stream_switch_point(struct stream *s, uint32_t timeline, uint32_t from, uint64_t *ret_lsn,
                        struct error *err) MUST_CHECK;

/* CONFIG/78 unless it is [a-z0-9_]{1,63}. */
int stream_check_slot(const char *slot, struct error *err) MUST_CHECK;

struct stream_slot {
    uint64_t consistent_lsn;
    char snapshot[128]; /* exported snapshot's name, valid until the next command here; "" none */
};
int stream_create_slot(struct stream *s, const char *slot, bool export_snapshot, bool temporary,
                       struct stream_slot *ret, struct error *err) MUST_CHECK;
int stream_drop_slot(struct stream *s, const char *slot, struct error *err) MUST_CHECK;

struct stream_start {
    const char *slot, *publication;
    uint64_t lsn;
    bool messages;  /* logical messages are wanted */
    bool streaming; /* transactions in progress */
};
/* START_REPLICATION with what this server's version understands (14 to 18).
 * 55006 (slot active): RETRY, code STREAM_SLOT_ACTIVE, the text names the pid. */
int stream_start(struct stream *s, const struct stream_start *start, struct error *err) MUST_CHECK;

enum stream_kind { STREAM_DATA, STREAM_KEEPALIVE };
struct stream_message {
    enum stream_kind kind;
    struct slice payload; /* DATA: one pgoutput message, valid until the next stream_next */
    uint64_t start_lsn;   /* DATA: of the record, 0 for messages that have none */
    uint64_t wal_end;     /* KEEPALIVE: everything up to here has been sent */
    int64_t server_us;    /* wall clock of the server when it sent this */
    bool reply_wanted;    /* KEEPALIVE */
};

/* The next message. AGAIN: nothing complete is here; poll by stream_poll_fds. RETRY when the
 * connection is lost or the server shut down, CONFIG with code "unpublished" where the publication
 * is not there, else the class of the server's own error. While far behind (`stream_pace`) it lets
 * the socket fill for a moment. */
int stream_next(struct stream *s, struct stream_message *ret, struct error *err) MUST_CHECK;

/* What reading has to wait for: the socket, or, while pacing, a short deadline. */
void stream_poll_fds(struct stream *s, struct poll_set *set);
/* What must be looked after although nothing is read: unsent replies (POLLOUT), the status timer.
 */
void stream_tend_fds(struct stream *s, struct poll_set *set);

/* `flushed`: everything before it is delivered and saved; it never goes back. Sent at once if
 * `now`, else with the next timed status update. */
void stream_confirm(struct stream *s, uint64_t flushed, bool now);

/* Without waiting: timed status updates (every 10 s at most, a third of wal_sender_timeout if that
 * is less), reply requests when the wire is silent, unsent bytes. Called often, whether or not
 * anything is read. */
int stream_tend(struct stream *s, struct error *err) MUST_CHECK;

/* True while pacing is on and more is on its way: in our hands, gathering in the socket during a
 * nap, or written before the server was identified. */
bool stream_behind(const struct stream *s);
uint64_t stream_wal_end(const struct stream *s); /* the highest server position heard of */
