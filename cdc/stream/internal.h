/*
 * What the files of the stream share. Private to cdc/stream/. One thread.
 */
#pragma once

#include "cdc/stream/command.h"
#include "cdc/stream/pace.h"
#include "cdc/stream/stream.h"
#include "cdc/stream/timer.h"
#include "db/pg.h"

struct stream {
    struct pg *pg;
    int64_t read_timeout_us;
    char publication[256];
    char *held;          /* the CopyData message given out last (libpq's memory) */
    uint64_t server_lsn; /* end of the server's WAL when it was identified: until the stream has
                            come that far, more is certainly on its way */
    uint64_t received;   /* the highest LSN seen in the stream */
    uint64_t start_lsn;  /* nothing before this is ever confirmed */
    uint64_t confirmed;  /* up to here the server may be told that all is flushed */
    uint64_t told;       /* the last such LSN that was sent */
    struct stream_timer timer;
    struct stream_pace pace;
    bool copying;     /* START_REPLICATION is under way */
    bool buffered;    /* libpq may have complete messages in its buffer */
    bool taken;       /* messages came out since the socket was read last */
    bool unflushed;   /* libpq has bytes that it could not send yet */
    bool owing;       /* a status update is due that could not be given to libpq yet */
    bool broken;      /* the connection is lost; messages that had arrived are still given out */
    bool unpublished; /* the server skips changes because the publication does not exist there */
};

/* Sets the session up for streaming, and reads wal_sender_timeout (in microseconds; 0: none). Waits
 * for the server. */
int stream_prepare(struct stream *s, int64_t *ret_timeout_us, struct error *err) MUST_CHECK;
