/*
 * The state of the sink redis, shared by the files that make up the sink:
 *   redis.c     the operations
 *   batch.c     events out, answers in
 *   command.c   an event as a command
 *   link.c      a connection to one of the servers (greeting.c: the login; wire.c: bytes)
 *   check.c     `check --connect`
 *
 * Private to these files. All of it is used by the pipeline's thread only.
 */
#pragma once

#include "base/buf.h"
#include "sink/kit/name.h"
#include "sink/redis/link.h"

enum { REDIS_BATCH_EVENTS = 256, REDIS_BATCH_BYTES = 1 << 20 };

/* The events of one transaction (MULTI, EXEC). */
struct redis_batch {
    struct redis_entry {
        uint64_t token, key; /* key: a hash of it */
        size_t
            name_end; /* its stream's name is what `names` holds up to here, from the last one's */
    } entries[REDIS_BATCH_EVENTS];
    struct buf names;
    size_t count, bytes;
    size_t answers;      /* of MULTI and of the commands queued, so far */
    redisReply *results; /* of EXEC, while replicas are waited for; NULL: EXEC is not answered */
    int64_t since_us;    /* since when its answer is due: stall_timeout counts from here */
    struct error failed; /* the first command that the server would not queue; class NONE: none */
};

struct redis {
    const struct redis_conf *conf;
    const struct sink_env *env;
    struct arena memory;
    struct redis_server servers[REDIS_SERVERS_MAX];
    struct name_template *stream;
    bool one_stream; /* all events go to one */
    struct redis_link link;
    /* EXEC of the first is sent, count 0: there is none. Events are put into the second, which the
     * server queues meanwhile; its EXEC is sent when the first has succeeded. So nothing is
     * executed behind what has failed. */
    struct redis_batch *running, *filling;
    struct redis_batch batches[2];
    long long replicas;   /* which had the events when they were counted last; -1: they were not */
    struct error failure; /* class not NONE: a new connection is needed */
    bool told;            /* the failure was returned */
    bool more;            /* answers may have been read and not been taken */
    struct error busy; /* why the server took nothing when it was tried last; class NONE: it did */

    struct redis_command {
        struct slice name;      /* of the stream; may lie in `made` or the event */
        struct buf made, texts; /* texts: names of header fields */
        char time[CLOCK_RFC3339_SIZE], maxlen[24];
        const char **args;
        size_t *lens;
        size_t count, cap;
    } command; /* the one that is put together */
};

/* command.c: puts the event's command together in r->command. POISON, also for what is longer than
 * the server takes. */
int redis_command_make(struct redis *r, const struct event *e, struct error *err) MUST_CHECK;
void redis_command_release(struct redis_command *c);

/* batch.c */
void redis_batch_forget(struct redis *r); /* all that was put, and the failure */
void redis_batch_release(struct redis *r);
bool redis_batch_pending(const struct redis *r); /* the server may be executing something */
bool redis_batch_has_room(const struct redis *r);
/* Must the event whose command was made wait for the next batch? Of a transaction all commands are
 * executed that can be: if an event may be refused because of its stream, and holds its key up
 * (env->holds_keys), no event of that key for another stream may be in it. */
bool redis_batch_splits_key(const struct redis *r, struct slice key);
/* Adds the event whose command was made. */
void redis_batch_add(struct redis *r, uint64_t token, struct slice key);
/* Writes what can be written, and executes what may be. A failure is kept in r->failure. */
void redis_batch_send(struct redis *r);
/* Takes the answers that have come, and reports. */
void redis_batch_collect(struct redis *r, struct sink_report *report);
int64_t redis_batch_deadline(const struct redis *r); /* of the oldest answer */

/* check.c: sink_ops.check */
int redis_check(struct redis *r, finding_report *report, void *ctx, struct error *err) MUST_CHECK;

static inline bool redis_has_failed(const struct redis *r)
{
    return r->failure.class != ERROR_NONE;
}
