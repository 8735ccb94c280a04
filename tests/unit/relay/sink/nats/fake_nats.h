/*
 * A NATS server as a test writes it: it speaks as much of the protocol as a client needs to connect
 * and publish, keeps what came, and answers each message as the test's script says. One connection
 * at a time, on a thread of its own; all fields below the lock are for both threads.
 */
#pragma once

#include "unit.h"

#include "base/clock.h"
#include "base/result.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FAKE_MESSAGES = 4096, FAKE_BUFFER = 1 << 20 };

/* What becomes of a message. FAKE_KEEP: no answer until fake_answer. */
enum fake_does { FAKE_ACK, FAKE_KEEP, FAKE_REFUSE, FAKE_NO_STREAM, FAKE_DENY, FAKE_HANG_UP };

struct fake_message {
    char subject[128], reply[128], headers[512], payload[64];
};

struct fake_nats {
    int fd, stop_fd, port;
    pthread_t thread;
    /* Set before the first connection. */
    const char *info;     /* more members of INFO, such as "\"auth_required\":true," */
    long max_payload;     /* of INFO */
    const char *greeting; /* what a CONNECT is answered with; NULL: nothing */
    bool mute;            /* says nothing at all, not even INFO */

    pthread_mutex_t lock;
    enum fake_does (*script)(const struct fake_message *m, void *ctx);
    void *ctx;
    const char *refusal; /* JSON, of FAKE_REFUSE */
    struct fake_message messages[FAKE_MESSAGES];
    size_t count, connections;
    int client;    /* -1: none */
    char sid[32];  /* of the subscription to the answers */
    size_t window; /* most messages that were without an answer at a time */
    size_t unanswered;
};

static void fake_say(struct fake_nats *f, const char *text, size_t len)
{
    if (f->client >= 0) {
        ssize_t n UNUSED = send(f->client, text, len, MSG_NOSIGNAL);
    }
}

static void fake_line(struct fake_nats *f, const char *line)
{
    fake_say(f, line, strlen(line));
}

/* Under the lock. */
static void fake_give(struct fake_nats *f, const struct fake_message *m, enum fake_does what)
{
    char out[1024];
    const char *ack = "{\"stream\":\"EV\",\"seq\":1}";
    const char *json = what == FAKE_REFUSE ? f->refusal : ack;
    f->unanswered -= what != FAKE_KEEP;
    switch (what) {
    case FAKE_ACK:
    case FAKE_REFUSE:
        snprintf(out, sizeof out, "MSG %s %s %zu\r\n%s\r\n", m->reply, f->sid, strlen(json), json);
        fake_line(f, out);
        break;
    case FAKE_NO_STREAM:
        snprintf(out, sizeof out, "HMSG %s %s 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", m->reply, f->sid);
        fake_line(f, out);
        break;
    case FAKE_DENY:
        snprintf(out, sizeof out, "-ERR 'Permissions Violation for Publish to \"%s\"'\r\n",
                 m->subject);
        fake_line(f, out);
        break;
    case FAKE_HANG_UP:
        shutdown(f->client, SHUT_RDWR);
        break;
    case FAKE_KEEP:
        break;
    }
}

/* Answers the n-th message that came (from 0), which was kept. */
static UNUSED void fake_answer(struct fake_nats *f, size_t n, enum fake_does what)
{
    pthread_mutex_lock(&f->lock);
    assert_true(n < f->count);
    fake_give(f, &f->messages[n], what);
    pthread_mutex_unlock(&f->lock);
}

/* Ends the connection, and takes no more. */
static UNUSED void fake_hang_up(struct fake_nats *f)
{
    uint64_t one = 1;
    ssize_t n UNUSED = write(f->stop_fd, &one, sizeof one);
    pthread_mutex_lock(&f->lock);
    if (f->client >= 0) {
        shutdown(f->client, SHUT_RDWR);
    }
    pthread_mutex_unlock(&f->lock);
}

static UNUSED size_t fake_count(struct fake_nats *f)
{
    pthread_mutex_lock(&f->lock);
    size_t n = f->count;
    pthread_mutex_unlock(&f->lock);
    return n;
}

/* One whole command at the front of the buffer. Returns its length, 0 if it is not whole yet. */
static size_t fake_command(struct fake_nats *f, const char *p, size_t len)
{
    const char *end = memmem(p, len, "\r\n", 2);
    if (!end) {
        return 0;
    }
    size_t line = (size_t)(end - p) + 2, head = 0, all = 0;
    struct fake_message m = {0};
    char sid[32];
    if (strncmp(p, "HPUB ", 5) == 0 &&
        sscanf(p, "HPUB %127s %127s %zu %zu", m.subject, m.reply, &head, &all) == 4) {
        if (len < line + all + 2) {
            return 0;
        }
        snprintf(m.headers, sizeof m.headers, "%.*s", (int)head, p + line);
        snprintf(m.payload, sizeof m.payload, "%.*s", (int)(all - head), p + line + head);
        pthread_mutex_lock(&f->lock);
        f->messages[f->count++ % FAKE_MESSAGES] = m;
        f->unanswered++;
        f->window = f->unanswered > f->window ? f->unanswered : f->window;
        fake_give(f, &m, f->script ? f->script(&m, f->ctx) : FAKE_ACK);
        pthread_mutex_unlock(&f->lock);
        return line + all + 2;
    }
    if (sscanf(p, "SUB %*s %31s", sid) == 1) {
        pthread_mutex_lock(&f->lock);
        memcpy(f->sid, sid, sizeof sid);
        pthread_mutex_unlock(&f->lock);
    } else if (strncmp(p, "CONNECT ", 8) == 0 && f->greeting) {
        fake_line(f, f->greeting);
    } else if (strncmp(p, "PING", 4) == 0) {
        fake_line(f, "PONG\r\n");
    }
    return line;
}

static void fake_serve(struct fake_nats *f)
{
    static char buffer[FAKE_BUFFER];
    size_t len = 0;
    while (true) {
        struct pollfd fds[2] = {{.fd = f->client, .events = POLLIN},
                                {.fd = f->stop_fd, .events = POLLIN}};
        poll(fds, 2, -1);
        ssize_t n = fds[1].revents ? 0 : recv(f->client, buffer + len, sizeof buffer - len, 0);
        if (n <= 0) {
            return;
        }
        len += (size_t)n;
        for (size_t used; len > 0 && (used = fake_command(f, buffer, len)) > 0;) {
            memmove(buffer, buffer + used, len - used);
            len -= used;
        }
    }
}

static void *fake_run(void *arg)
{
    struct fake_nats *f = arg;
    while (true) {
        struct pollfd fds[2] = {{.fd = f->fd, .events = POLLIN},
                                {.fd = f->stop_fd, .events = POLLIN}};
        poll(fds, 2, -1);
        if (fds[1].revents) {
            return NULL;
        }
        int client = accept(f->fd, NULL, NULL);
        char info[512];
        pthread_mutex_lock(&f->lock);
        f->client = client;
        f->connections++;
        f->unanswered = 0;
        pthread_mutex_unlock(&f->lock);
        if (!f->mute) {
            snprintf(info, sizeof info,
                     "INFO {%s\"server_id\":\"F\",\"version\":\"2.9.10\",\"proto\":1,\"headers\":"
                     "true,\"max_payload\":%ld}\r\n",
                     f->info ? f->info : "", f->max_payload);
            fake_line(f, info);
        }
        fake_serve(f);
        pthread_mutex_lock(&f->lock);
        close(f->client);
        f->client = -1;
        pthread_mutex_unlock(&f->lock);
    }
}

static struct fake_nats *fake_new(void)
{
    struct fake_nats *f = calloc(1, sizeof *f);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    assert_non_null(f);
    pthread_mutex_init(&f->lock, NULL);
    f->client = -1;
    f->max_payload = 1 << 20;
    f->stop_fd = eventfd(0, EFD_CLOEXEC);
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(f->fd, 8), 0);
    assert_int_equal(getsockname(f->fd, (struct sockaddr *)&a, &len), 0);
    f->port = ntohs(a.sin_port);
    return f;
}

/* After the fields for INFO are set. */
static void fake_start(struct fake_nats *f)
{
    assert_int_equal(pthread_create(&f->thread, NULL, fake_run, f), 0);
}

static void fake_free(struct fake_nats *f)
{
    uint64_t one = 1;
    ssize_t n UNUSED = write(f->stop_fd, &one, sizeof one);
    pthread_join(f->thread, NULL);
    pthread_mutex_destroy(&f->lock);
    close(f->fd);
    close(f->stop_fd);
    free(f);
}
