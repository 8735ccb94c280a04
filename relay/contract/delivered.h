/*
 * What commands ask a sink about the events that it has delivered: whether the files are whole
 * (`verify-batch`), what lies there (`verify`), which servers have it already (`status`), and to
 * give it to them once more (`resend`). The ops that take these structs are in contract/sink.h.
 * Plain values; the thread of the command, or the pipeline's thread for sink_target.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The files of one pipeline in a folder, as `verify` finds them. */
struct sink_verified {
    const char *pipeline;
    uint64_t files, events, first, last; /* first, last: delivery numbers */
    bool from_start; /* the first file is the first of its chain; else others came before it */
    uint64_t sealed; /* files with an HMAC */
};

/* What `verify` found. All zero on entry; sink_verdict_release frees what it holds. */
struct sink_verdict {
    uint64_t files, bytes;
    struct sink_verified *pipelines; /* in the order of their names; their texts lie in `arena` */
    size_t pipelines_count;
    uint64_t others; /* files that are no batch files; they are not looked at */
    /* The first fault, in the order of names: which file, what of it, what it should be and what it
     * is. `what` is empty if there is none. */
    struct buf at, what, expected, found;
    struct arena arena;
};

static inline void sink_verdict_release(struct sink_verdict *v)
{
    arena_release(&v->arena);
    buf_release(&v->at);
    buf_release(&v->what);
    buf_release(&v->expected);
    buf_release(&v->found);
}

/* Told from time to time how far `verify` is. */
struct sink_watch {
    void (*progress)(void *ctx, uint64_t files, uint64_t of_files, uint64_t bytes);
    void *ctx;
};

/* An event as it lies at the destination. Borrowed during the call. */
struct sink_copy {
    struct slice id; /* null: it has none, or it cannot be read */
    /* What identifies its payload there. With SINK_MESSAGES the value of the message, else what
     * `payload_of` says of the same event. */
    struct slice payload;
    /* With `whole`: its key, and its payload as it was sent (with SINK_MESSAGES the value of the
     * message). Null: it has none. */
    struct slice key, sent;
    int64_t created_us; /* created_at (wall clock); TIME_NONE: it does not say */
    int64_t by_us;      /* it was there at this time at the latest; TIME_NONE: unknown */
    bool replayed;      /* a replay has sent it */
    const char *place;  /* where, for people ("orders [3] at") */
    uint64_t number;    /* and the number there (the offset), or SINK_NO_NUMBER */
};
#define SINK_NO_NUMBER UINT64_MAX

/* How `read_back` is asked, and whom it tells. */
struct sink_reading {
    const char *at;  /* another folder, which holds what this sink has written; NULL: its own */
    int64_t from_us; /* events that were created before may be left out; INT64_MIN: none */
    bool whole;      /* key and payload of each event are needed; CONFIG where they are not there */
    /* With SINK_MESSAGES: may this topic hold events of the pipeline? */
    bool (*wants)(void *ctx, struct slice topic);
    /* Takes one event; an answer other than DONE ends the reading and is passed on. */
    int (*take)(void *ctx, const struct sink_copy *copy, struct error *err);
    /* Told that something is not there any more, so that its events will be missed. */
    void (*note)(void *ctx, const char *text);
    void *ctx;
};

/* A place to which a sink hands on what it has delivered, such as a server that gets each batch
 * file: how it stands. It never holds up the pipeline. */
struct sink_target {
    char name[41];
    uint64_t accepted;    /* delivery number of the last event that it has; 0: none */
    uint64_t waiting;     /* files that it has not yet */
    uint64_t unconfirmed; /* files that it has and has not confirmed, where that is wanted */
    bool open;            /* its breaker: after many failures it is tried only rarely */
    char error[512];      /* why the last try failed; "": it did not */
};

enum { SINK_TARGETS_MAX = 9 };

/* Which files `resend` gives to targets again: those that fit to all that is set. */
struct sink_resend {
    const char *file;   /* its name; NULL: any */
    uint64_t from, to;  /* files that hold one of these delivery numbers */
    int64_t since_us;   /* files that were completed then or later (wall clock) */
    const char *target; /* NULL: all of them */
    /* Called for each file that a target has accepted. */
    void (*told)(void *ctx, const char *file, const char *target);
    void *ctx;
};
