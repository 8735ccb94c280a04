/*
 * Connects to one of several servers without blocking (link.h).
 */
#include "sink/redis/link.h"

#include "base/log.h"
#include "base/memory.h"
#include "sink/redis/greeting.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void redis_link_init(struct redis_link *l, const struct redis_conf *conf,
                     const struct sink_env *env, const struct redis_server *servers)
{
    *l = (struct redis_link){.conf = conf, .env = env, .servers = servers, .fd = -1};
}

/* Nothing is left of the connection; the record of what may still be executed stays. */
static void drop(struct redis_link *l)
{
    if (l->context) {
        redisFree(l->context); /* closes the descriptor */
    } else if (l->fd >= 0) {
        close(l->fd);
    }
    lookup_forget(&l->lookup);
    l->context = NULL;
    l->address = NULL;
    l->fd = -1;
    l->unsent = false;
    l->greeted = 0;
    l->self = (struct redis_peer){0};
    l->state = LINK_DOWN;
}

/* What the kernel has not sent yet is thrown away, too. */
static void throw_away(int fd)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    int rc UNUSED = setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void redis_link_close(struct redis_link *l, bool pending)
{
    if (pending && l->context) {
        throw_away(l->context->fd);
        l->former = l->self.id[0] ? l->self : l->former;
    }
    drop(l);
}

void redis_link_release(struct redis_link *l)
{
    lookup_release(&l->lookup, l->env);
    drop(l);
}

/* --- connecting --- */

static int unreachable(const struct redis_link *l, struct error *err, const char *why)
{
    return error_set(err, ERROR_RETRY, "redis",
                     "%s cannot be reached: %s; is the server up, and sink.url right?",
                     redis_link_server(l), why);
}

static int refused(const struct redis_link *l, struct error *err, int cause)
{
    if (cause == EACCES || cause == EPERM) {
        return error_exit(err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "redis",
                          "%s cannot be reached: %s; give the relay's user the right to connect",
                          redis_link_server(l), strerror(cause));
    }
    return unreachable(l, err, strerror(cause));
}

static int not_yet(const struct redis_link *l, const char *what, struct error *err)
{
    if (clock_mono_us() < l->deadline_us) {
        return RESULT_AGAIN;
    }
    return error_set(err, ERROR_RETRY, "redis",
                     "%s: %s within sink.connect_timeout (%.1f s); is the server up and reachable?",
                     redis_link_server(l), what, (double)l->conf->net.connect_timeout_us / 1e6);
}

/* A connection that is under way, or an error number. */
static int begin(const struct sockaddr *address, socklen_t size, int *ret_fd)
{
    int on = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    if (address->sa_family != AF_UNIX) {
        int rc UNUSED = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) +
                        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    if (connect(fd, address, size) < 0 && errno != EINPROGRESS) {
        int cause = errno;
        close(fd);
        return cause;
    }
    *ret_fd = fd;
    return 0;
}

/* Tries the addresses from l->address on. cause: why the one before failed. */
static int begin_next(struct redis_link *l, int cause, struct error *err)
{
    for (; l->address; l->address = l->address->ai_next) {
        cause = begin(l->address->ai_addr, l->address->ai_addrlen, &l->fd);
        if (!cause) {
            l->state = LINK_CONNECTING;
            return RESULT_DONE;
        }
    }
    return refused(l, err, cause);
}

static int resolve(struct redis_link *l, struct error *err)
{
    struct error why;
    const struct redis_server *server = &l->servers[l->current];
    int rc = lookup_run(&l->lookup, server->host, server->port, &l->address, &why);
    return rc == RESULT_AGAIN   ? not_yet(l, "its name was not resolved", err)
           : rc == RESULT_ERROR ? unreachable(l, err, why.text)
                                : begin_next(l, 0, err);
}

static int begin_unix(struct redis_link *l, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = l->servers[l->current].path;
    if (strlen(path) >= sizeof address.sun_path) {
        return error_set(err, ERROR_CONFIG, "redis",
                         "sink.url: the path %s is longer than the %zu bytes of a Unix socket's; "
                         "shorten it",
                         path, sizeof address.sun_path - 1);
    }
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int cause = begin((struct sockaddr *)&address, sizeof address, &l->fd);
    if (cause) {
        return refused(l, err, cause);
    }
    l->state = LINK_CONNECTING;
    return RESULT_DONE;
}

static int begin_server(struct redis_link *l, struct error *err)
{
    l->deadline_us = clock_mono_us() + l->conf->net.connect_timeout_us;
    if (!l->servers[l->current].host) {
        return begin_unix(l, err);
    }
    l->state = LINK_RESOLVING;
    return RESULT_DONE;
}

/* Who answers on a Unix socket: another process has other numbers for its connections. */
static pid_t peer_pid(int fd)
{
    struct ucred who = {0};
    socklen_t size = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 ? who.pid : 0;
}

static int finish_connecting(struct redis_link *l, struct error *err)
{
    struct pollfd p = {.fd = l->fd, .events = POLLOUT};
    int cause = 0;
    socklen_t size = sizeof cause;
    if (poll(&p, 1, 0) <= 0) {
        return not_yet(l, "no connection was made", err);
    }
    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &cause, &size) < 0 || cause) {
        close(l->fd);
        l->fd = -1;
        l->address = l->address ? l->address->ai_next : NULL;
        return begin_next(l, cause, err);
    }
    l->context = memory_need(redisConnectFd(l->fd));
    l->context->flags &= ~REDIS_BLOCK;
    l->self.pid = l->servers[l->current].host ? 0 : peer_pid(l->fd);
    l->state = LINK_GREETING;
    redis_greeting_send(l);
    return RESULT_DONE;
}

static int greet(struct redis_link *l, struct error *err)
{
    redisReply *reply = NULL;
    if (redis_link_write(l, err)) {
        return RESULT_ERROR;
    }
    int rc;
    while ((rc = redis_link_read(l, &reply, err)) == RESULT_DONE) {
        rc = redis_greeting_take(l, reply, err);
        freeReplyObject(reply);
        if (rc != RESULT_AGAIN) {
            l->state = rc == RESULT_DONE ? LINK_READY : l->state;
            return rc;
        }
    }
    return rc == RESULT_AGAIN ? not_yet(l, "no answer came to the login", err) : rc;
}

/* Goes on with the current server as far as possible without waiting. */
static int advance(struct redis_link *l, struct error *err)
{
    int rc = RESULT_DONE;
    while (rc == RESULT_DONE && l->state != LINK_READY) {
        switch (l->state) {
        case LINK_DOWN:
            rc = begin_server(l, err);
            break;
        case LINK_RESOLVING:
            rc = resolve(l, err);
            break;
        case LINK_CONNECTING:
            rc = finish_connecting(l, err);
            break;
        case LINK_GREETING:
            rc = greet(l, err);
            break;
        case LINK_READY:
            break;
        }
    }
    return rc;
}

/* One server that may come back is enough to try again. */
static void add_failure(struct error *all, const struct error *one)
{
    struct error before = *all;
    if (before.class == ERROR_NONE) {
        *all = *one;
        return;
    }
    if (before.class != ERROR_RETRY) {
        *all = *one;
    }
    int half = (int)sizeof before.text / 2 - 2;
    snprintf(all->text, sizeof all->text, "%.*s; %.*s", half, before.text, half, one->text);
}

int redis_link_open(struct redis_link *l, struct error *err)
{
    if (l->state == LINK_DOWN) {
        l->left = l->count;
        error_clear(&l->failure);
    }
    int rc;
    while ((rc = advance(l, err)) == RESULT_ERROR) {
        add_failure(&l->failure, err);
        drop(l);
        l->current = (l->current + 1) % l->count;
        if (--l->left == 0) {
            *err = l->failure;
            return RESULT_ERROR;
        }
    }
    return rc;
}

void redis_link_poll_fds(const struct redis_link *l, struct poll_set *set)
{
    switch (l->state) {
    case LINK_DOWN:
        break;
    case LINK_RESOLVING:
        poll_set_add(set, lookup_fd(&l->lookup), POLLIN);
        break;
    case LINK_CONNECTING:
        poll_set_add(set, l->fd, POLLOUT);
        break;
    case LINK_GREETING:
    case LINK_READY:
        poll_set_add(set, l->context->fd, (short)(l->unsent ? POLLIN | POLLOUT : POLLIN));
        break;
    }
    if (l->state != LINK_DOWN && l->state != LINK_READY) {
        poll_set_deadline(set, l->deadline_us);
    }
}
