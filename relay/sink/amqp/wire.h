/*
 * A connection to a server that carries bytes, in clear or by TLS, and never blocks. Host names are
 * resolved on a worker. Example:
 *
 *     amqp_wire_begin(&w, server, deadline);
 *     rc = amqp_wire_open(&w, &err);          RESULT_AGAIN: poll, and call it again
 *     rc = amqp_wire_read(&w, buf, size, &n, &err);
 *
 * The pipeline's thread only.
 */
#pragma once

#include "base/poll_set.h"
#include "sink/amqp/tls.h"
#include "sink/kit/lookup.h"
#include <sys/types.h>

enum amqp_wire_state { WIRE_DOWN, WIRE_RESOLVING, WIRE_CONNECTING, WIRE_SHAKING, WIRE_READY };

struct amqp_wire {
    const struct net_conf *conf;
    bool tls;
    const struct net_server *server;
    enum amqp_wire_state state;
    int64_t deadline_us; /* of what leads to WIRE_READY; monotonic */
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    short wants; /* what the TLS handshake waits for: POLLIN or POLLOUT */
    struct lookup lookup;
    struct addrinfo *address; /* the one that is tried */
};

void amqp_wire_init(struct amqp_wire *w, const struct net_conf *conf, bool tls);

/* Frees everything. A name that is being resolved is waited for a second, and then left behind. */
void amqp_wire_release(struct amqp_wire *w, const struct sink_env *env);

/* The next connection is to this server, which outlives it. The wire is down. */
void amqp_wire_begin(struct amqp_wire *w, const struct net_server *server, int64_t deadline_us);

/* DONE: it is ready. AGAIN. RETRY; CONFIG for a certificate, 77 where connecting is forbidden. */
int amqp_wire_open(struct amqp_wire *w, struct error *err) MUST_CHECK;

/* DONE: *ret bytes, at least one. AGAIN: none now. RETRY: it has ended. n is at least 1. */
int amqp_wire_read(struct amqp_wire *w, char *to, size_t n, size_t *ret,
                   struct error *err) MUST_CHECK;
int amqp_wire_write(struct amqp_wire *w, const char *from, size_t n, size_t *ret,
                    struct error *err) MUST_CHECK;

/* Ends it. throw_away: also what the kernel has not sent yet, which it would send for some time. */
void amqp_wire_close(struct amqp_wire *w, bool throw_away);

/* writing: something is to be written. */
void amqp_wire_poll_fds(const struct amqp_wire *w, bool writing, struct poll_set *set);
