/*
 * The thread of a connection, and what libnats tells on its own threads.
 *
 * libnats is used as with an event loop: our thread polls the socket and tells it to read and
 * write. So one thread alone touches the socket and its TLS, and can be freed from any wait by
 * shutting the socket down.
 */
#include "sink/nats/internal.h"

#include "sink/nats/answers.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* libnats holds what the socket does not take, in one buffer that it moves after each write. */
enum { BUFFERED_MAX = 256 * 1024 };
enum { PUBLISH_CHUNK = 64 };

static void sub_over(void *closure)
{
    link_release(closure);
}

static void connection_over(natsConnection *nc UNUSED, void *closure)
{
    link_release(closure);
}

/* --- what libnats tells, on its threads --- */

/* The first failure counts. down: it was the end of the connection. */
static void fail(struct nats_link *l, const struct error *err, bool down)
{
    pthread_mutex_lock(&l->lock);
    l->state = down ? LINK_DOWN : l->state;
    if (l->error.class == ERROR_NONE) {
        l->error = *err;
    }
    pthread_mutex_unlock(&l->lock);
    link_ring(l->news_fd);
}

static void on_error(natsConnection *nc UNUSED, natsSubscription *sub UNUSED, natsStatus s,
                     void *closure)
{
    struct nats_link *l = closure;
    struct error err;
    const char *text = nats_GetLastError(NULL);
    if (s == NATS_NOT_PERMITTED) {
        nats_denied(text ? text : natsStatus_GetText(s), l->where, &err);
        fail(l, &err, false);
    }
}

/* The last part of the subject to which the answer came is the token, and LINK_APART or nothing. */
static void on_answer(natsConnection *nc UNUSED, natsSubscription *sub UNUSED, natsMsg *msg,
                      void *closure)
{
    struct nats_link *l = closure;
    const char *token = strrchr(natsMsg_GetSubject(msg), '.');
    char *apart = NULL;
    struct nats_answer answer = {.token = token ? strtoull(token + 1, &apart, 10) : 0};
    if (nats_is_ack(msg, &answer.known)) {
        answer.known = answer.known && apart && strcmp(apart, LINK_APART) != 0;
        natsMsg_Destroy(msg);
    } else {
        answer.refusal = msg;
    }
    pthread_mutex_lock(&l->lock);
    bool first = l->answers.count == 0;
    link_answers_add(&l->answers, answer);
    pthread_mutex_unlock(&l->lock);
    if (first) {
        link_ring(l->news_fd);
    }
}

static natsStatus loop_attach(void **ret_data, void *loop, natsConnection *nc UNUSED, natsSock fd)
{
    struct nats_link *l = loop;
    /* What was not sent when the connection is given up must not arrive later. */
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    pthread_mutex_lock(&l->lock);
    l->fd = fd;
    pthread_mutex_unlock(&l->lock);
    *ret_data = l;
    return NATS_OK;
}

/* libnats is about to close the socket when it says that reading is over. */
static natsStatus loop_read(void *data, bool on)
{
    struct nats_link *l = data;
    if (!on) {
        pthread_mutex_lock(&l->lock);
        l->fd = -1;
        pthread_mutex_unlock(&l->lock);
        link_ring(l->wake_fd);
    }
    return NATS_OK;
}

static natsStatus loop_write(void *data, bool on)
{
    struct nats_link *l = data;
    pthread_mutex_lock(&l->lock);
    bool news = on && !l->want_write;
    l->want_write = on;
    pthread_mutex_unlock(&l->lock);
    if (news) {
        link_ring(l->wake_fd);
    }
    return NATS_OK;
}

static natsStatus loop_detach(void *data UNUSED)
{
    return NATS_OK;
}

/* --- the link's thread --- */

static bool is_ending(struct nats_link *l)
{
    pthread_mutex_lock(&l->lock);
    bool ending = l->ending;
    pthread_mutex_unlock(&l->lock);
    return ending;
}

static natsStatus subscribe(struct nats_link *l, natsConnection *nc, natsSubscription **ret)
{
    char subject[LINK_REPLY_SIZE];
    snprintf(subject, sizeof subject, "%s.*", l->inbox);
    link_retain(l);
    natsStatus s = natsConnection_Subscribe(ret, nc, subject, on_answer, l);
    s = s ? s : natsSubscription_SetPendingLimits(*ret, -1, -1);
    s = s ? s : natsSubscription_SetOnCompleteCB(*ret, sub_over, l);
    if (s) {
        link_release(l);
    }
    return s;
}

/* libnats calls connection_over once for each connection that was made. */
static natsStatus connect_now(struct nats_link *l, natsConnection **ret_nc,
                              natsSubscription **ret_sub)
{
    link_retain(l);
    natsStatus s = natsConnection_Connect(ret_nc, l->options);
    if (s) {
        link_release(l);
        return s;
    }
    s = subscribe(l, *ret_nc, ret_sub);
    l->max_payload = natsConnection_GetMaxPayload(*ret_nc);
    if (natsConnection_GetConnectedUrl(*ret_nc, l->url, sizeof l->url)) {
        snprintf(l->url, sizeof l->url, "%.*s", (int)sizeof l->url - 1, l->where);
    }
    return s;
}

/* A few messages of the queue: the lock is not held while libnats works. */
static size_t take_some(struct nats_link *l, natsMsg *out[PUBLISH_CHUNK])
{
    size_t n = 0;
    pthread_mutex_lock(&l->lock);
    struct nats_queue *q = &l->queue;
    while (n < PUBLISH_CHUNK && q->at < q->count) {
        out[n++] = q->items[q->at++];
    }
    if (q->at == q->count) {
        q->at = q->count = 0;
    }
    pthread_mutex_unlock(&l->lock);
    return n;
}

static bool has_room(natsConnection *nc)
{
    return natsConnection_Buffered(nc) < BUFFERED_MAX;
}

/* *ret_more: libnats' buffer is full, and more may be waiting. */
static natsStatus publish(struct nats_link *l, natsConnection *nc, bool *ret_more)
{
    natsMsg *chunk[PUBLISH_CHUNK];
    natsStatus s = NATS_OK;
    size_t n = PUBLISH_CHUNK;
    while (s == NATS_OK && n == PUBLISH_CHUNK && has_room(nc)) {
        n = take_some(l, chunk);
        for (size_t i = 0; i < n; i++) {
            s = s ? s : natsConnection_PublishMsg(nc, chunk[i]);
            natsMsg_Destroy(chunk[i]);
        }
    }
    *ret_more = n == PUBLISH_CHUNK;
    return s;
}

/* Sleeps until the server or the owner wants something. False: the link is to end. */
static bool wait_for_work(struct nats_link *l, bool *ret_readable)
{
    pthread_mutex_lock(&l->lock);
    short events = (short)(POLLIN | (l->want_write ? POLLOUT : 0));
    struct pollfd fds[2] = {{.fd = l->wake_fd, .events = POLLIN}, {.fd = l->fd, .events = events}};
    bool ending = l->ending || l->fd < 0;
    pthread_mutex_unlock(&l->lock);
    if (ending) {
        return false;
    }
    poll(fds, 2, -1);
    if (fds[0].revents) {
        link_unring(l->wake_fd);
    }
    *ret_readable = fds[1].revents & (POLLIN | POLLERR | POLLHUP);
    return true;
}

static bool wants_write(struct nats_link *l)
{
    pthread_mutex_lock(&l->lock);
    bool wants = l->want_write && l->fd >= 0;
    pthread_mutex_unlock(&l->lock);
    return wants;
}

/* A write that the socket does not take whole is gone on with when it is writable. */
static natsStatus serve(struct nats_link *l, natsConnection *nc)
{
    natsStatus s = NATS_OK;
    bool readable = false, more = false;
    while (s == NATS_OK && wait_for_work(l, &readable) && !natsConnection_IsClosed(nc)) {
        if (readable) {
            natsConnection_ProcessReadEvent(nc);
        }
        do {
            s = publish(l, nc, &more);
            if (wants_write(l)) {
                natsConnection_ProcessWriteEvent(nc);
            }
        } while (s == NATS_OK && more && has_room(nc));
    }
    return s;
}

static void say_lost(struct nats_link *l, natsConnection *nc, natsStatus s)
{
    const char *text = NULL;
    struct error err;
    natsStatus last = natsConnection_GetLastError(nc, &text);
    const char *why = text && *text ? text : natsStatus_GetText(last ? last : s);
    if (nats_dial_error(last, l->url, &err), err.class == ERROR_RETRY) {
        error_set(
            &err, ERROR_RETRY, "nats",
            "the connection to %s is lost: %.300s; what it had not acknowledged is sent again",
            l->url, last || s ? why : "the server has closed it");
    }
    fail(l, &err, true);
}

void *link_run(void *arg)
{
    struct nats_link *l = arg;
    natsConnection *nc = NULL;
    natsSubscription *sub = NULL;
    struct error err;
    natsStatus s = connect_now(l, &nc, &sub);
    if (s) {
        nats_dial_error(s, l->where, &err);
        fail(l, &err, true);
    } else if (!is_ending(l)) {
        pthread_mutex_lock(&l->lock);
        l->state = LINK_UP;
        pthread_mutex_unlock(&l->lock);
        link_ring(l->news_fd);
        s = serve(l, nc);
        say_lost(l, nc, s);
    }
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(nc);
    nats_ReleaseThreadMemory();
    pthread_mutex_lock(&l->lock);
    l->gone = true;
    pthread_mutex_unlock(&l->lock);
    link_ring(l->news_fd);
    link_release(l);
    return NULL;
}

int link_callbacks(struct nats_link *l, struct error *err)
{
    natsInbox *inbox = NULL;
    natsStatus s =
        natsOptions_SetEventLoop(l->options, l, loop_attach, loop_read, loop_write, loop_detach);
    s = s ? s : natsOptions_SetErrorHandler(l->options, on_error, l);
    s = s ? s : natsOptions_SetClosedCB(l->options, connection_over, l);
    s = s ? s : natsInbox_Create(&inbox);
    if (s) {
        return error_set(err, ERROR_RETRY, "nats", "libnats cannot prepare a connection: %s",
                         natsStatus_GetText(s));
    }
    snprintf(l->inbox, sizeof l->inbox, "%s", inbox);
    natsInbox_Destroy(inbox);
    return RESULT_DONE;
}
