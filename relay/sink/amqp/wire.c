/*
 * Connects to a server and carries bytes, without blocking (wire.h).
 */
#include "sink/amqp/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 1 << 20 };

void amqp_wire_init(struct amqp_wire *w, const struct net_conf *conf, bool tls)
{
    *w = (struct amqp_wire){.conf = conf, .tls = tls, .fd = -1};
}

void amqp_wire_close(struct amqp_wire *w, bool throw_away)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    SSL_free(w->ssl);
    SSL_CTX_free(w->context);
    if (w->fd >= 0) {
        int rc UNUSED =
            throw_away ? setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) : 0;
        close(w->fd);
    }
    lookup_forget(&w->lookup);
    w->ssl = NULL;
    w->context = NULL;
    w->fd = -1;
    w->address = NULL;
    w->wants = 0;
    w->state = WIRE_DOWN;
}

void amqp_wire_release(struct amqp_wire *w, const struct sink_env *env)
{
    lookup_release(&w->lookup, env);
    amqp_wire_close(w, false);
}

void amqp_wire_begin(struct amqp_wire *w, const struct net_server *server, int64_t deadline_us)
{
    w->server = server;
    w->deadline_us = deadline_us;
    w->state = WIRE_RESOLVING;
}

/* --- connecting --- */

static int unreachable(const struct amqp_wire *w, const char *why, struct error *err)
{
    return error_set(err, ERROR_RETRY, "amqp",
                     "%s cannot be reached: %s; is the server up, and sink.url right?",
                     w->server->shown, why);
}

static int refused(const struct amqp_wire *w, int cause, struct error *err)
{
    if (cause == EACCES || cause == EPERM) {
        return error_exit(err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "amqp",
                          "%s cannot be reached: %s; give the relay's user the right to connect",
                          w->server->shown, strerror(cause));
    }
    return unreachable(w, strerror(cause), err);
}

static int not_yet(const struct amqp_wire *w, const char *what, struct error *err)
{
    if (clock_mono_us() < w->deadline_us) {
        return RESULT_AGAIN;
    }
    return error_set(err, ERROR_RETRY, "amqp",
                     "%s: %s within sink.connect_timeout (%.1f s); is the server up and reachable?",
                     w->server->shown, what, (double)w->conf->connect_timeout_us / 1e6);
}

/* A connection that is under way, or an error number. */
static int begin(const struct addrinfo *to, int *ret_fd)
{
    int on = 1;
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    int rc UNUSED = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) +
                    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (connect(fd, to->ai_addr, to->ai_addrlen) < 0 && errno != EINPROGRESS) {
        int cause = errno;
        close(fd);
        return cause;
    }
    *ret_fd = fd;
    return 0;
}

/* Tries the addresses from w->address on. cause: why the one before failed. */
static int begin_next(struct amqp_wire *w, int cause, struct error *err)
{
    for (; w->address; w->address = w->address->ai_next) {
        cause = begin(w->address, &w->fd);
        if (!cause) {
            w->state = WIRE_CONNECTING;
            return RESULT_DONE;
        }
    }
    return refused(w, cause, err);
}

static int resolve(struct amqp_wire *w, struct error *err)
{
    char port[8];
    struct error why;
    snprintf(port, sizeof port, "%d", w->server->port);
    int rc = lookup_run(&w->lookup, w->server->name, port, &w->address, &why);
    return rc == RESULT_AGAIN   ? not_yet(w, "its name was not resolved", err)
           : rc == RESULT_ERROR ? unreachable(w, why.text, err)
                                : begin_next(w, 0, err);
}

static int finish_connecting(struct amqp_wire *w, struct error *err)
{
    struct pollfd p = {.fd = w->fd, .events = POLLOUT};
    int cause = 0;
    socklen_t size = sizeof cause;
    if (poll(&p, 1, 0) <= 0) {
        return not_yet(w, "no connection was made", err);
    }
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &cause, &size) < 0 || cause) {
        close(w->fd);
        w->fd = -1;
        w->address = w->address->ai_next;
        return begin_next(w, cause, err);
    }
    if (!w->tls) {
        w->state = WIRE_READY;
        return RESULT_DONE;
    }
    if (amqp_tls_context(&w->conf->tls, &w->context, err) ||
        amqp_tls_new(w->context, &w->conf->tls, w->server, w->fd, &w->ssl, err)) {
        return RESULT_ERROR;
    }
    w->state = WIRE_SHAKING;
    return RESULT_DONE;
}

/* What a call of OpenSSL that gave rc means: AGAIN, or its error. */
static int tls_result(struct amqp_wire *w, int rc, struct error *err)
{
    int cause = errno, kind = SSL_get_error(w->ssl, rc);
    w->wants = kind == SSL_ERROR_WANT_READ ? POLLIN : kind == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
    return w->wants ? RESULT_AGAIN
                    : amqp_tls_error(w->ssl, rc, cause, &w->conf->tls, w->server, err);
}

static int shake(struct amqp_wire *w, struct error *err)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(w->ssl);
    if (rc != 1) {
        rc = tls_result(w, rc, err);
        return rc == RESULT_AGAIN ? not_yet(w, "no TLS handshake was made", err) : rc;
    }
    w->wants = 0;
    w->state = WIRE_READY;
    return RESULT_DONE;
}

int amqp_wire_open(struct amqp_wire *w, struct error *err)
{
    int rc = RESULT_DONE;
    while (rc == RESULT_DONE && w->state != WIRE_READY) {
        switch (w->state) {
        case WIRE_DOWN:
            return error_set(err, ERROR_RETRY, "amqp", "there is no connection; start makes one");
        case WIRE_RESOLVING:
            rc = resolve(w, err);
            break;
        case WIRE_CONNECTING:
            rc = finish_connecting(w, err);
            break;
        case WIRE_SHAKING:
            rc = shake(w, err);
            break;
        case WIRE_READY:
            break;
        }
    }
    return rc;
}

/* --- bytes --- */

static int ended(const struct amqp_wire *w, const char *why, struct error *err)
{
    return error_set(err, ERROR_RETRY, "amqp",
                     "%s: the connection has ended: %s; what is not acknowledged is sent again",
                     w->server->shown, why);
}

static int done(struct amqp_wire *w, int rc, size_t *ret)
{
    w->wants = 0;
    *ret = (size_t)rc;
    return RESULT_DONE;
}

int amqp_wire_read(struct amqp_wire *w, char *to, size_t n, size_t *ret, struct error *err)
{
    int most = n < AT_ONCE ? (int)n : AT_ONCE;
    if (w->ssl) {
        ERR_clear_error();
        int rc = SSL_read(w->ssl, to, most);
        return rc > 0 ? done(w, rc, ret) : tls_result(w, rc, err);
    }
    ssize_t rc = recv(w->fd, to, (size_t)most, 0);
    if (rc < 0 && (errno == EAGAIN || errno == EINTR)) {
        return RESULT_AGAIN;
    }
    return rc > 0   ? done(w, (int)rc, ret)
           : rc < 0 ? ended(w, strerror(errno), err)
                    : ended(w, "the server has closed it", err);
}

int amqp_wire_write(struct amqp_wire *w, const char *from, size_t n, size_t *ret, struct error *err)
{
    int most = n < AT_ONCE ? (int)n : AT_ONCE;
    if (w->ssl) {
        ERR_clear_error();
        int rc = SSL_write(w->ssl, from, most);
        return rc > 0 ? done(w, rc, ret) : tls_result(w, rc, err);
    }
    ssize_t rc = send(w->fd, from, (size_t)most, MSG_NOSIGNAL);
    if (rc < 0 && (errno == EAGAIN || errno == EINTR)) {
        return RESULT_AGAIN;
    }
    return rc >= 0 ? done(w, (int)rc, ret) : ended(w, strerror(errno), err);
}

void amqp_wire_poll_fds(const struct amqp_wire *w, bool writing, struct poll_set *set)
{
    switch (w->state) {
    case WIRE_DOWN:
        return;
    case WIRE_RESOLVING:
        poll_set_add(set, lookup_fd(&w->lookup), POLLIN);
        break;
    case WIRE_CONNECTING:
        poll_set_add(set, w->fd, POLLOUT);
        break;
    case WIRE_SHAKING:
        poll_set_add(set, w->fd, w->wants);
        break;
    case WIRE_READY:
        poll_set_add(set, w->fd, (short)(POLLIN | (writing ? POLLOUT : 0)));
        return;
    }
    poll_set_deadline(set, w->deadline_us);
}
