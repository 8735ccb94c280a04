/*
 * The job of a session's worker: connects, publishes what was put, and takes the broker's answers.
 * It waits for the socket and its wake-up only. A message is sent in pieces, each when the socket
 * has room for it: so it also reads meanwhile, and a broker that stops reading (an alarm) can still
 * say why.
 */
#include "sink/rabbitmq/internal.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

/* A socket that poll calls writable has a third of its send buffer free, which is larger
 * (connection.c). */
enum { BURST = 32 * 1024, PIECE = 16 * 1024 };

/* --- what is shared --- */

static void fail(struct rabbit_server *w, const struct error *err)
{
    struct rabbit_session *s = w->s;
    pthread_mutex_lock(&s->lock);
    if (s->failure.class == ERROR_NONE) {
        s->failure = *err;
    }
    pthread_mutex_unlock(&s->lock);
}

/* Nothing is on its way: what was returned is poison. With the lock held. */
static void give_poisoned(struct rabbit_server *w)
{
    struct rabbit_session *s = w->s;
    for (; s->given < s->low; s->given++) {
        if (*rabbit_fate_at(w, s->given) == RABBIT_POISONED) {
            rabbit_add_result(s, s->given, SINK_POISON);
        }
    }
    w->poisoned = false;
    s->hold = true;
}

/* Takes over what the owner wants, and tells it what has changed. */
static void look_around(struct rabbit_server *w)
{
    struct rabbit_session *s = w->s;
    pthread_mutex_lock(&s->lock);
    s->sent = w->sent;
    bool idle = !w->begun && s->low == w->sent;
    if (w->poisoned && idle) {
        give_poisoned(w);
    }
    bool quiet = s->hold && idle;
    bool tell = s->results_count > 0 || quiet != s->quiet || s->blocked != w->blocked;
    s->quiet = quiet;
    s->blocked = w->blocked;
    w->stop = s->stop || s->failure.class != ERROR_NONE;
    w->hold = s->hold || w->poisoned;
    w->put = s->put;
    w->low = s->low;
    w->window = s->window;
    pthread_mutex_unlock(&s->lock);
    if (tell) {
        rabbit_session_wake(s->told_fd);
    }
}

/* --- the wire --- */

/* Takes all that has arrived. */
static int receive(struct rabbit_server *w, struct error *err)
{
    while (true) {
        struct timeval none = {0, 0};
        amqp_frame_t frame;
        amqp_maybe_release_buffers(w->c);
        int status = amqp_simple_wait_frame_noblock(w->c, &frame, &none);
        if (status == AMQP_STATUS_TIMEOUT) {
            return RESULT_DONE;
        }
        if (status != AMQP_STATUS_OK) {
            return rabbit_error_status(err, w->host, "waiting for acknowledgements", status);
        }
        if (rabbit_take_frame(w, &frame, err)) {
            return RESULT_ERROR;
        }
    }
}

static bool may_send(const struct rabbit_server *w)
{
    bool next = !w->hold && w->sent < w->put && w->sent - w->low < w->window;
    return !w->blocked && (w->begun || next);
}

/* Routing and properties of the next entry. */
static int send_head(struct rabbit_server *w, const struct rabbit_entry *e)
{
    amqp_basic_properties_t properties = rabbit_properties(e, w->s->conf.persistent, &w->scratch);
    amqp_basic_publish_t method = {
        .exchange = {e->exchange.len, (void *)(uintptr_t)e->exchange.ptr},
        .routing_key = {e->routing_key.len, (void *)(uintptr_t)e->routing_key.ptr},
        .mandatory = w->s->conf.mandatory};
    amqp_frame_t head = {.frame_type = AMQP_FRAME_HEADER,
                         .channel = RABBIT_CHANNEL,
                         .payload.properties = {.class_id = AMQP_BASIC_CLASS,
                                                .body_size = e->value.len,
                                                .decoded = &properties}};
    *rabbit_fate_at(w, w->sent) = RABBIT_UNANSWERED;
    w->begun = true;
    w->offset = 0;
    int status = amqp_send_method(w->c, RABBIT_CHANNEL, AMQP_BASIC_PUBLISH_METHOD, &method);
    return status == AMQP_STATUS_OK ? amqp_send_frame(w->c, &head) : status;
}

static int send_piece(struct rabbit_server *w, const struct rabbit_entry *e, size_t len)
{
    amqp_frame_t body = {
        .frame_type = AMQP_FRAME_BODY,
        .channel = RABBIT_CHANNEL,
        .payload.body_fragment = {len, (void *)(uintptr_t)(e->value.ptr + w->offset)}};
    w->offset += len;
    return amqp_send_frame(w->c, &body);
}

/* Publishes as much as the socket has room for. */
static int send_burst(struct rabbit_server *w)
{
    int status = AMQP_STATUS_OK;
    for (size_t bytes = 0; bytes < BURST && status == AMQP_STATUS_OK && may_send(w);) {
        const struct rabbit_entry *e = rabbit_entry_at(w, w->sent);
        if (!w->begun) {
            bytes += e->head_bytes;
            status = send_head(w, e);
        } else {
            size_t left = e->value.len - w->offset;
            size_t len = left < w->piece ? left : w->piece;
            bytes += len;
            status = send_piece(w, e, len);
        }
        if (status == AMQP_STATUS_OK && w->offset == e->value.len) {
            w->begun = false;
            w->sent++;
        }
    }
    return status;
}

/* Corked, so that the pieces leave in full packets. */
static int send_some(struct rabbit_server *w, struct error *err)
{
    int on = 1, off = 0, fd = amqp_get_sockfd(w->c);
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    int status = send_burst(w);
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    if (status != AMQP_STATUS_OK) {
        return rabbit_error_status(err, w->host, "publishing", status);
    }
    return RESULT_DONE;
}

/* --- life --- */

/* Prepares the connection for publishing. */
static int prepare(struct rabbit_server *w, struct error *err)
{
    amqp_confirm_select(w->c, RABBIT_CHANNEL);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(w->c);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        return rabbit_error_reply(err, w->host, "asking for confirms", reply);
    }
    return rabbit_exchange_exists(w->c, w->host, w->s->exchange ? w->s->exchange : "", err);
}

static int connect_to(struct rabbit_server *w, struct error *err)
{
    struct rabbit_session *s = w->s;
    if (rabbit_connect(&s->conf, s->hosts.tls, w->host, s->pipeline, &w->c, err)) {
        return RESULT_ERROR;
    }
    if (prepare(w, err)) {
        rabbit_hang_up(w->c, false);
        w->c = NULL;
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

static bool asked_to_stop(struct rabbit_session *s)
{
    pthread_mutex_lock(&s->lock);
    bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

/* Puts the failures of all servers into one. Waiting helps if it may help with one of them. */
static void add_failure(struct error *all, const struct error *one, bool first)
{
    if (first) {
        *all = *one;
        return;
    }
    char text[sizeof all->text];
    const struct error *softer = all->class == ERROR_RETRY ? all : one;
    snprintf(text, sizeof text, "%.480s; and %.480s", all->text, one->text);
    struct error joined = *softer;
    snprintf(joined.text, sizeof joined.text, "%s", text);
    *all = joined;
}

/* Tries all servers in turn, each once, beginning with the one whose turn it is. */
static int connect_in_turn(struct rabbit_server *w, struct error *err)
{
    struct rabbit_session *s = w->s;
    for (size_t i = 0; i < s->hosts.count; i++) {
        struct error one;
        w->host = &s->hosts.items[s->host];
        if (asked_to_stop(s)) {
            return error_set(err, ERROR_RETRY, "rabbitmq", "stopped while connecting");
        }
        if (connect_to(w, &one) == RESULT_DONE) {
            return RESULT_DONE;
        }
        add_failure(err, &one, i == 0);
        s->host = (s->host + 1) % s->hosts.count;
    }
    return RESULT_ERROR;
}

static void opened(struct rabbit_server *w)
{
    struct rabbit_session *s = w->s;
    size_t frame_max = (size_t)amqp_get_frame_max(w->c);
    w->piece = frame_max - 8 < PIECE ? frame_max - 8 : PIECE; /* 8: a frame's own bytes */
    pthread_mutex_lock(&s->lock);
    s->state = RABBIT_OPEN;
    s->frame_max = frame_max;
    s->fd = fcntl(amqp_get_sockfd(w->c), F_DUPFD_CLOEXEC, 0);
    pthread_mutex_unlock(&s->lock);
    rabbit_session_wake(s->told_fd);
}

/* The library sends heartbeats, and notices missing ones, only while it is called. */
static int look_ms(const struct rabbit_server *w)
{
    return (int)(w->s->conf.heartbeat_us / US_PER_MS / 8);
}

static int round_trip(struct rabbit_server *w, struct error *err)
{
    struct pollfd fds[] = {{.fd = amqp_get_sockfd(w->c), .events = POLLIN},
                           {.fd = w->s->wake_fd, .events = POLLIN}};
    if (may_send(w)) {
        fds[0].events |= POLLOUT;
    }
    poll(fds, 2, look_ms(w));
    if (fds[1].revents) {
        rabbit_session_hush(w->s->wake_fd);
    }
    if (receive(w, err)) {
        return RESULT_ERROR;
    }
    look_around(w);
    return fds[0].revents & POLLOUT && !w->stop ? send_some(w, err) : RESULT_DONE;
}

/* The owner can end a goodbye that hangs, too: the descriptor stays until all is over. */
static void hang_up(struct rabbit_server *w, bool politely)
{
    rabbit_hang_up(w->c, politely && rabbit_say_goodbye(w->c));
    pthread_mutex_lock(&w->s->lock);
    if (w->s->fd >= 0) {
        close(w->s->fd);
    }
    w->s->fd = -1;
    pthread_mutex_unlock(&w->s->lock);
}

static void serve(struct rabbit_server *w)
{
    struct error err;
    int rc = RESULT_DONE;
    opened(w);
    look_around(w);
    while (!w->stop && rc == RESULT_DONE) {
        rc = round_trip(w, &err);
    }
    if (rc) {
        fail(w, &err);
    }
    pthread_mutex_lock(&w->s->lock);
    w->s->host = rc ? (w->s->host + 1) % w->s->hosts.count : w->s->host;
    bool healthy = w->s->failure.class == ERROR_NONE;
    pthread_mutex_unlock(&w->s->lock);
    hang_up(w, healthy && !w->begun);
}

void rabbit_session_serve(void *arg)
{
    struct rabbit_session *s = arg;
    struct rabbit_server w = {.s = s};
    struct error err;
    if (connect_in_turn(&w, &err) == RESULT_DONE) {
        serve(&w);
    } else {
        fail(&w, &err);
    }
    pthread_mutex_lock(&s->lock);
    s->state = RABBIT_ENDED;
    pthread_mutex_unlock(&s->lock);
    rabbit_scratch_release(&w.scratch);
    rabbit_session_wake(s->told_fd);
}
