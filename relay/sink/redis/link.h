/*
 * One connection to one of the servers, which does not block: names are resolved on a worker, and
 * the login is sent and answered as the descriptors allow.
 *
 *     rc = redis_link_open(&link, &err);      RESULT_AGAIN: poll, and call it again
 *     redis_link_send(&link, n, args, lens);  as often as needed; nothing is written yet
 *     redis_link_write(&link, &err);
 *     redis_link_read(&link, &reply, &err);   RESULT_AGAIN: no whole answer is there yet
 *
 * The caller frees answers with freeReplyObject. The pipeline's thread only.
 */
#pragma once

#include "base/poll_set.h"
#include "sink/kit/lookup.h"
#include "sink/redis/conf.h"

#include <hiredis/hiredis.h>

enum redis_link_state { LINK_DOWN, LINK_RESOLVING, LINK_CONNECTING, LINK_GREETING, LINK_READY };

/* Whom the server knows a connection as, so that another one can end it. */
struct redis_peer {
    char id[24], addr[160]; /* of CLIENT INFO; "": unknown */
    pid_t pid;              /* of a server behind a Unix socket; 0: unknown, or another machine's */
};

struct redis_link {
    const struct redis_conf *conf;
    const struct sink_env *env;
    const struct redis_server *servers;
    size_t count;
    size_t current; /* which server is, or was last, connected to */
    size_t left;    /* so many others have not been tried yet since the last connection */
    enum redis_link_state state;
    int64_t deadline_us;  /* of what leads to LINK_READY */
    struct error failure; /* of the servers tried so far; class NONE: none */
    redisContext *context;
    bool unsent; /* some of what was sent is still to be written */
    int fd;      /* while it is being connected; then the context owns it */
    struct lookup lookup;
    struct addrinfo *address; /* the one that is tried */
    unsigned greeted;         /* answers to the greeting that have come */
    size_t argument_max;      /* how many bytes an argument may have, once it is greeted */
    struct redis_peer self;
    /* A former connection that may still have something to execute; it is ended before anything is
     * written. id "": none. */
    struct redis_peer former;
    bool fence_told; /* that it cannot be ended was logged */
};

/* `count` is the caller's to set: how many servers there are. */
void redis_link_init(struct redis_link *l, const struct redis_conf *conf,
                     const struct sink_env *env, const struct redis_server *servers);

/* Connects to the servers in turn, beginning with the one of the last connection, and logs in. When
 * none is left: RETRY if one of them may come back, else CONFIG; the text names each. */
int redis_link_open(struct redis_link *l, struct error *err) MUST_CHECK;

/* Ends the connection, or what leads to it. pending: the server may still have something to
 * execute, and whoever connects next ends it first. */
void redis_link_close(struct redis_link *l, bool pending);

/* Frees everything. A name that is being resolved is waited for a second, and then left behind. */
void redis_link_release(struct redis_link *l);

void redis_link_poll_fds(const struct redis_link *l, struct poll_set *set);

/* --- wire.c --- */

/* Adds a command to what is to be written; its arguments are copied. Aborts without memory. */
void redis_link_send(struct redis_link *l, size_t n, const char **args, const size_t *lens);

/* Writes what the socket takes. RETRY. */
int redis_link_write(struct redis_link *l, struct error *err) MUST_CHECK;

/* DONE: *ret is the next answer. AGAIN: it has not come. RETRY: the connection has ended. */
int redis_link_read(struct redis_link *l, redisReply **ret, struct error *err) MUST_CHECK;

/* The server that is connected, for people. */
const char *redis_link_server(const struct redis_link *l);
