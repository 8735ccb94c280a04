/*
 * The streaming replication protocol over libpq (PostgreSQL documentation: protocol-replication): a
 * walsender connection, its commands, and the copy-both stream.
 *
 * Order of calls: connect, identify, perhaps create a slot, start, then next and tend again and
 * again, close. The commands (all before stream_next) wait for the server, bounded by the timeouts
 * and given up when stop_fd is readable. The others never wait, except that stream_close waits for
 * half a second. Every session runs
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

/* error.code of errors of our own; all others are PostgreSQL's SQLSTATEs. */
#define STREAM_SLOT_ACTIVE "slot_active" /* another connection reads the slot */
#define STREAM_UNPUBLISHED "unpublished" /* the publication did not exist at this place */

struct stream;

struct stream_options {
    const char *url, *pipeline;
    int64_t connect_timeout_us, read_timeout_us;
    int64_t lease_us; /* the most that wal_sender_timeout may be: after so long without a sign of
                         life from us the server frees the slot; 0: the server's own setting */
    int stop_fd;
    bool plain_money; /* as in change_shape */
};

/* Connects with replication=database. *ret is the caller's, for stream_close. RETRY: no connection.
 * CONFIG: a pooler in between, or a role without REPLICATION (exit code 77, and the text has the
 * ALTER ROLE statement). */
int stream_connect(const struct stream_options *opt, struct stream **ret,
                   struct error *err) MUST_CHECK;
/* Sends the last status update and ends the stream (CopyDone), so that the slot is free at once;
 * waits for that at most half a second, then closes. NULL is fine. */
void stream_close(struct stream *s);

/* What IDENTIFY_SYSTEM answers. */
struct stream_identity {
    uint64_t system_id;
    uint32_t timeline;
    uint64_t flush_lsn; /* the server's WAL flush position */
    char database[64 * 4];
    int server_version; /* 150020 */
};
/* CONFIG: this is no replication connection. FATAL: an answer that the protocol does not allow. */
int stream_identify(struct stream *s, struct stream_identity *ret, struct error *err) MUST_CHECK;

/* TIMELINE_HISTORY: the LSN where timeline `from` ended and a descendant of it began that leads to
 * `timeline`. *ret_lsn is 0 if `from` is not in the history of `timeline`. CONFIG, exit code 69:
 * the server does not have the history file. */
int stream_switch_point(struct stream *s, uint32_t timeline, uint32_t from, uint64_t *ret_lsn,
                        struct error *err) MUST_CHECK;

/* CONFIG unless the name is [a-z0-9_]{1,63}. No I/O. */
int stream_check_slot(const char *slot, struct error *err) MUST_CHECK;

struct stream_slot {
    uint64_t consistent_lsn; /* transactions that commit from here on come through the slot */
    char snapshot[128]; /* name of the exported snapshot; it can be imported until the next command
                           on this connection; "" none */
};
/* Creating waits for all transactions that write right now. RETRY: one of them did not end within
 * read_timeout, or somebody has just made a slot of this name. CONFIG: a setting of the server
 * forbids it. A temporary slot is dropped with the connection. */
int stream_create_slot(struct stream *s, const char *slot, bool export_snapshot, bool temporary,
                       struct stream_slot *ret, struct error *err) MUST_CHECK;
int stream_drop_slot(struct stream *s, const char *slot, struct error *err) MUST_CHECK;

struct stream_start {
    const char *slot, *publication;
    uint64_t lsn;
    bool messages;  /* send logical messages */
    bool streaming; /* send large transactions while they are in progress */
};
/* START_REPLICATION with the options of this server's version (14 to 18). RETRY with code
 * STREAM_SLOT_ACTIVE: another connection reads the slot; the text names its pid. FATAL: the slot is
 * lost, physical, or of another database. */
int stream_start(struct stream *s, const struct stream_start *start, struct error *err) MUST_CHECK;

enum stream_kind { STREAM_DATA, STREAM_KEEPALIVE };
struct stream_message {
    enum stream_kind kind;
    struct slice payload; /* DATA: one pgoutput message, valid until stream_next or stream_forget */
    uint64_t start_lsn;   /* DATA: LSN of the record, 0 for messages that have none */
    uint64_t wal_end;     /* KEEPALIVE: everything up to here has been sent */
    int64_t server_us;    /* wall clock of the server when it sent this; Unix epoch */
    bool reply_wanted;    /* KEEPALIVE: the server waits for a status update */
};

/* The next message. AGAIN: no complete one is here; poll by stream_poll_fds. While far behind
 * (pace.h) also AGAIN for a moment, until the socket is full. RETRY: the connection is lost, or the
 * server shut down. CONFIG with code STREAM_UNPUBLISHED: the publication did not exist at this
 * place of the WAL. Else the class of the server's own error. */
int stream_next(struct stream *s, struct stream_message *ret, struct error *err) MUST_CHECK;

/* Frees the message that stream_next gave; its payload is no longer valid. Only for one so large
 * that it should not wait in memory for the next stream_next. */
void stream_forget(struct stream *s);

/* Adds what stream_next waits for: the socket, or the end of a nap. */
void stream_poll_fds(struct stream *s, struct poll_set *set);
/* Adds what stream_tend waits for, also while nothing is read: unsent bytes (POLLOUT), timers. */
void stream_tend_fds(struct stream *s, struct poll_set *set);

/* Everything before `flushed` is delivered and saved, so the server may forget it. A smaller value
 * than before is ignored. Sent at once if `now`, else with the next timed status update. */
void stream_confirm(struct stream *s, uint64_t flushed, bool now);

/* Sends what is due: status updates (every 10 s, or a third of wal_sender_timeout if that is less),
 * a request for a reply when nothing was heard, unsent bytes. To be called often, also while
 * nothing is read: otherwise the server closes the connection after wal_sender_timeout. RETRY: the
 * connection is lost, or the server did not reply within read_timeout. */
int stream_tend(struct stream *s, struct error *err) MUST_CHECK;

/* True while pacing is on and more is on its way: read but not taken, gathering in the socket
 * during a nap, or written before the server was identified. */
bool stream_behind(const struct stream *s);
uint64_t stream_wal_end(const struct stream *s); /* the highest LSN that the server told of */
