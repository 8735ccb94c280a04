/*
 * What the files of the stream share. Private to cdc/stream*.c and their unit tests.
 */
#pragma once

#include "cdc/stream/pace.h"
#include "cdc/stream/stream.h"
#include "cdc/stream/timer.h"
#include "db/pg.h"

struct stream {
    struct pg *pg;
    int64_t read_timeout_us;
    char publication[256];
    char *held;          /* the CopyData message given out last (libpq's memory) */
    uint64_t server_lsn; /* its WAL flush position when last asked: a backlog until there is sure */
    uint64_t received;   /* the highest position seen in the stream */
    uint64_t start_lsn;  /* less than this is never confirmed */
    uint64_t confirmed;  /* what may be told */
    uint64_t told;       /* what was told */
    struct stream_timer timer;
    struct stream_pace pace;
    bool copying;     /* START_REPLICATION is under way */
    bool buffered;    /* libpq may hold complete messages */
    bool taken;       /* messages came out since the socket was read */
    bool unflushed;   /* libpq holds bytes to send */
    bool owing;       /* a status update could not be handed to libpq yet */
    bool broken;      /* the connection is lost; what had come is still taken */
    bool unpublished; /* the server passes over changes because the publication is not there */
};

/* The START_REPLICATION command for this server's version. */
int stream_start_text(const struct stream_start *start, int server_version, struct buf *out,
                      struct error *err) MUST_CHECK;

/* Where timeline `from` was left, by the text of a history file; false: it is not in it. */
bool stream_history_find(struct slice history, uint32_t from, uint64_t *ret_lsn);

/* After a command that was given up: asks the server to give it up too. */
void stream_abandon(struct stream *s);

/* What the server is to know before the stream starts, and wal_sender_timeout in microseconds. */
int stream_prepare(struct stream *s, int64_t *ret_timeout_us, struct error *err) MUST_CHECK;
