/* Connects, sends the request and reads the reply, all within one deadline of PATIENCE_US. A port
 * where nobody answers, or another program does, delays a command by that time at most. */
#include "cli/kit/admin_client.h"

#include "base/clock.h"
#include "base/poll_set.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const int64_t PATIENCE_US = 2 * US_PER_SECOND;
enum { REPLY_MAX = 4 << 20 };

static const char UNIX_PREFIX[] = "unix:";

bool admin_client_body(struct slice reply, int *ret_status, struct slice *ret_body)
{
    static const char gap[] = "\r\n\r\n";
    if (reply.len < 12 || memcmp(reply.ptr, "HTTP/1.", 7) != 0 || reply.ptr[8] != ' ') {
        return false;
    }
    int status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (reply.ptr[i] < '0' || reply.ptr[i] > '9') {
            return false;
        }
        status = status * 10 + (reply.ptr[i] - '0');
    }
    const char *end = memmem(reply.ptr, reply.len, gap, sizeof gap - 1);
    if (!end) {
        return false;
    }
    end += sizeof gap - 1;
    *ret_status = status;
    *ret_body = (struct slice){end, reply.len - (size_t)(end - reply.ptr)};
    return true;
}

void admin_client_escape(struct buf *out, const char *value)
{
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        buf_printf(out, plain ? "%c" : "%%%02X", c);
    }
}

bool admin_client_split(const char *listen, struct buf *ret_host, struct buf *ret_port)
{
    const char *colon = strrchr(listen, ':');
    if (!colon || !colon[1] || strcmp(colon + 1, "0") == 0) {
        return false;
    }
    size_t n = (size_t)(colon - listen);
    if (n >= 2 && listen[0] == '[' && listen[n - 1] == ']') {
        buf_add(ret_host, listen + 1, n - 2);
    } else {
        buf_add(ret_host, listen, n);
    }
    buf_add_str(ret_port, colon + 1);
    return ret_host->len > 0;
}

static int failed(const char *listen, const char *what, struct error *err)
{
    return error_set(err, ERROR_RETRY, "admin", "the relay's %s %s", listen, what);
}

/* Waits for `events`; false once the time is up. */
static bool wait_for(int fd, short events, int64_t deadline_us)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_add(&set, fd, events);
    poll_set_deadline(&set, deadline_us);
    while (clock_mono_us() < deadline_us) {
        if (poll_set_wait(&set) > 0) {
            return true;
        }
    }
    return false;
}

static int connect_address(const struct sockaddr *address, socklen_t size, int64_t deadline_us)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int problem = 0;
    socklen_t n = sizeof problem;
    if (fd < 0) {
        return -1;
    }
    if (connect(fd, address, size) == 0 ||
        (errno == EINPROGRESS && wait_for(fd, POLLOUT, deadline_us) &&
         getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &n) == 0 && problem == 0)) {
        return fd;
    }
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int connect_unix(const char *path, int64_t deadline_us)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(a.sun_path, path, strlen(path) + 1);
    return connect_address((const struct sockaddr *)&a, sizeof a, deadline_us);
}

static int connect_tcp(const char *listen, int64_t deadline_us)
{
    CLEANUP(buf_release) struct buf host = {0}, port = {0};
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
    int fd = -1;
    if (!admin_client_split(listen, &host, &port) ||
        getaddrinfo(buf_str(&host), buf_str(&port), &hints, &list) != 0) {
        return -1;
    }
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = connect_address(a->ai_addr, a->ai_addrlen, deadline_us);
    }
    freeaddrinfo(list);
    return fd;
}

/* The request is small enough for any socket's buffer. */
static bool talk(int fd, struct slice request, struct buf *reply, int64_t deadline_us)
{
    char piece[4096];
    if (send(fd, request.ptr, request.len, MSG_NOSIGNAL) != (ssize_t)request.len) {
        return false;
    }
    while (reply->len < REPLY_MAX && wait_for(fd, POLLIN, deadline_us)) {
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n == 0) {
            return true;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        }
        buf_add(reply, piece, n > 0 ? (size_t)n : 0);
    }
    return false;
}

static void note_peer(int fd, struct admin_reply *ret)
{
    struct ucred who;
    socklen_t n = sizeof who;
    ret->local = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0;
    ret->uid = ret->local ? who.uid : (uid_t)-1;
    ret->gid = ret->local ? who.gid : (gid_t)-1;
}

int admin_client_ask(const char *listen, const char *line, struct admin_reply *ret,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf reply = {0}, request = {0};
    struct slice body;
    int64_t deadline_us = clock_mono_us() + PATIENCE_US;
    bool local = strncmp(listen, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
    buf_printf(&request, "%s HTTP/1.0\r\nHost: %s\r\nContent-Length: 0\r\n\r\n", line,
               local ? "localhost" : listen);
    int fd = local ? connect_unix(listen + strlen(UNIX_PREFIX), deadline_us)
                   : connect_tcp(listen, deadline_us);
    if (fd < 0) {
        bool closed = local && errno == EACCES;
        failed(listen, closed ? "is not for this user" : "does not answer", err);
        return error_code(err, closed ? "EACCES" : "");
    }
    ret->local = false;
    if (local) {
        note_peer(fd, ret);
    }
    bool complete = talk(fd, buf_slice(&request), &reply, deadline_us);
    close(fd);
    if (!complete || !admin_client_body(buf_slice(&reply), &ret->status, &body)) {
        return failed(listen, "gives no answer; is it another program's?", err);
    }
    buf_clear(&ret->body);
    buf_add_slice(&ret->body, body);
    return RESULT_DONE;
}
