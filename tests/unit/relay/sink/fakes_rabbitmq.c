/* Stands for librabbitmq's connections: see rabbitmq/fake_broker.h. The worker's socket is one end
 * of a pair; a byte in the other end announces each frame. */
#include "rabbitmq/fake_broker.h"

#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { MESSAGES = 4096, FRAMES = 4096, FRAME_MAX = 8192 };

/* One thing that the broker says; `of` says what it is made from. */
struct word {
    amqp_method_number_t method; /* 0: the header of a returned message; 1: a status */
    uint64_t number;
    bool multiple;
    char text[256];
};

struct amqp_connection_state_t_ {
    int unused;
};

static struct {
    pthread_mutex_t lock;
    struct fake_message messages[MESSAGES];
    size_t published, tried, opened, closed, thrown_away;
    struct word words[FRAMES];
    size_t said, heard;
    int pair[2];
    int port, away_port, away_status, login_code;
    char login_text[256], user[64];
    bool hangs, goodbye_hangs, connect_hangs, stuffed;
    pthread_cond_t connect_goes_on;
    uint64_t room;
    struct amqp_connection_state_t_ connection;
} b = {.lock = PTHREAD_MUTEX_INITIALIZER,
       .pair = {-1, -1},
       .connect_goes_on = PTHREAD_COND_INITIALIZER};

static void locked_say(struct word w)
{
    b.words[b.said++ % FRAMES] = w;
    ssize_t rc = write(b.pair[1], "x", 1);
    (void)rc;
}

static void say(struct word w)
{
    pthread_mutex_lock(&b.lock);
    locked_say(w);
    pthread_mutex_unlock(&b.lock);
}

static size_t locked_size(const size_t *what)
{
    pthread_mutex_lock(&b.lock);
    size_t n = *what;
    pthread_mutex_unlock(&b.lock);
    return n;
}

/* --- for tests --- */

void fake_broker_reset(void)
{
    pthread_mutex_lock(&b.lock);
    b.published = b.tried = b.opened = b.closed = b.said = b.heard = b.thrown_away = 0;
    b.port = b.away_port = b.away_status = b.login_code = 0;
    b.hangs = b.goodbye_hangs = b.connect_hangs = b.stuffed = false;
    b.user[0] = '\0';
    b.room = 0;
    memset(b.messages, 0, sizeof b.messages);
    pthread_mutex_unlock(&b.lock);
}

size_t fake_broker_published(void)
{
    return locked_size(&b.published);
}

struct fake_message fake_broker_message(size_t n)
{
    pthread_mutex_lock(&b.lock);
    struct fake_message m = b.messages[n];
    pthread_mutex_unlock(&b.lock);
    return m;
}

size_t fake_broker_tried(void)
{
    return locked_size(&b.tried);
}

size_t fake_broker_opened(void)
{
    return locked_size(&b.opened);
}

size_t fake_broker_closed(void)
{
    return locked_size(&b.closed);
}

int fake_broker_port(void)
{
    pthread_mutex_lock(&b.lock);
    int port = b.port;
    pthread_mutex_unlock(&b.lock);
    return port;
}

void fake_broker_away(int port, int status)
{
    pthread_mutex_lock(&b.lock);
    b.away_port = port;
    b.away_status = status;
    pthread_mutex_unlock(&b.lock);
}

void fake_broker_login(int code, const char *text)
{
    pthread_mutex_lock(&b.lock);
    b.login_code = code;
    snprintf(b.login_text, sizeof b.login_text, "%s", text ? text : "");
    pthread_mutex_unlock(&b.lock);
}

void fake_broker_ack(uint64_t tag, bool multiple)
{
    say((struct word){.method = AMQP_BASIC_ACK_METHOD, .number = tag, .multiple = multiple});
}

void fake_broker_nack(uint64_t tag)
{
    say((struct word){.method = AMQP_BASIC_NACK_METHOD, .number = tag});
}

void fake_broker_return(size_t message)
{
    say((struct word){.method = AMQP_BASIC_RETURN_METHOD, .number = message});
    say((struct word){.method = 0, .number = message});
}

static void say_text(amqp_method_number_t method, int number, const char *text)
{
    struct word w = {.method = method, .number = (uint64_t)number};
    snprintf(w.text, sizeof w.text, "%s", text);
    say(w);
}

void fake_broker_blocked(const char *why)
{
    say_text(AMQP_CONNECTION_BLOCKED_METHOD, 0, why);
}

void fake_broker_unblocked(void)
{
    say_text(AMQP_CONNECTION_UNBLOCKED_METHOD, 0, "");
}

void fake_broker_close(int code, const char *text)
{
    say_text(AMQP_CHANNEL_CLOSE_METHOD, code, text);
}

void fake_broker_lose(int status)
{
    say_text(1, -status, "");
}

void fake_broker_hang(void)
{
    pthread_mutex_lock(&b.lock);
    b.hangs = true;
    pthread_mutex_unlock(&b.lock);
}

void fake_broker_hang_goodbye(void)
{
    pthread_mutex_lock(&b.lock);
    b.goodbye_hangs = true;
    pthread_mutex_unlock(&b.lock);
}

void fake_broker_hang_connect(bool hangs)
{
    pthread_mutex_lock(&b.lock);
    b.connect_hangs = hangs;
    pthread_cond_broadcast(&b.connect_goes_on);
    pthread_mutex_unlock(&b.lock);
}

void fake_broker_user(char out[64])
{
    pthread_mutex_lock(&b.lock);
    memcpy(out, b.user, sizeof b.user);
    pthread_mutex_unlock(&b.lock);
}

size_t fake_broker_thrown_away(void)
{
    return locked_size(&b.thrown_away);
}

/* The socket has no room while its buffer is full of what nobody reads. */
static void locked_stuff(bool stuffed)
{
    char bytes[4096] = "";
    int *fd = b.pair;
    while (stuffed && send(fd[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
    while (!stuffed && recv(fd[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
    b.stuffed = stuffed;
}

void fake_broker_room(uint64_t bytes)
{
    pthread_mutex_lock(&b.lock);
    b.room = bytes;
    if (bytes == 0 && b.stuffed) {
        locked_stuff(false);
    }
    pthread_mutex_unlock(&b.lock);
}

/* --- the library --- */

amqp_connection_state_t amqp_new_connection(void)
{
    return &b.connection;
}

int amqp_destroy_connection(amqp_connection_state_t c)
{
    struct linger how = {0};
    socklen_t size = sizeof how;
    (void)c;
    pthread_mutex_lock(&b.lock);
    if (b.pair[0] >= 0) {
        int rc = getsockopt(b.pair[0], SOL_SOCKET, SO_LINGER, &how, &size);
        b.thrown_away += rc == 0 && how.l_onoff && how.l_linger == 0;
        close(b.pair[0]);
        close(b.pair[1]);
        b.pair[0] = b.pair[1] = -1;
    }
    b.said = b.heard = 0;
    pthread_mutex_unlock(&b.lock);
    return AMQP_STATUS_OK;
}

amqp_socket_t *amqp_tcp_socket_new(amqp_connection_state_t c)
{
    return (amqp_socket_t *)c;
}

int amqp_socket_open_noblock(amqp_socket_t *s, const char *host, int port,
                             const struct timeval *timeout)
{
    (void)s, (void)host, (void)timeout;
    pthread_mutex_lock(&b.lock);
    b.tried++;
    while (b.connect_hangs) {
        pthread_cond_wait(&b.connect_goes_on, &b.lock);
    }
    b.port = port;
    int status = port == b.away_port ? b.away_status : AMQP_STATUS_OK;
    if (status == AMQP_STATUS_OK) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b.pair)) {
            abort();
        }
    }
    pthread_mutex_unlock(&b.lock);
    return status;
}

int amqp_get_sockfd(amqp_connection_state_t c)
{
    (void)c;
    pthread_mutex_lock(&b.lock);
    int fd = b.pair[0];
    pthread_mutex_unlock(&b.lock);
    return fd;
}

int amqp_get_frame_max(amqp_connection_state_t c)
{
    (void)c;
    return FRAME_MAX;
}

int amqp_set_handshake_timeout(amqp_connection_state_t c, const struct timeval *t)
{
    (void)c, (void)t;
    return AMQP_STATUS_OK;
}

int amqp_set_rpc_timeout(amqp_connection_state_t c, const struct timeval *t)
{
    (void)c, (void)t;
    return AMQP_STATUS_OK;
}

void amqp_maybe_release_buffers(amqp_connection_state_t c)
{
    (void)c;
}

static const amqp_rpc_reply_t fine = {.reply_type = AMQP_RESPONSE_NORMAL};

amqp_rpc_reply_t amqp_login_with_properties(amqp_connection_state_t c, char const *vhost,
                                            int channel_max, int frame_max, int heartbeat,
                                            const amqp_table_t *properties,
                                            amqp_sasl_method_enum method, ...)
{
    static amqp_connection_close_t closed;
    (void)c, (void)vhost, (void)channel_max, (void)frame_max, (void)heartbeat;
    (void)properties;
    amqp_rpc_reply_t reply = fine;
    va_list login;
    va_start(login, method);
    const char *user = va_arg(login, const char *), *password = va_arg(login, const char *);
    va_end(login);
    pthread_mutex_lock(&b.lock);
    snprintf(b.user, sizeof b.user, "%s %s", user, password);
    if (b.login_code) {
        closed.reply_code = (uint16_t)b.login_code;
        closed.reply_text = amqp_cstring_bytes(b.login_text);
        reply.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION;
        reply.reply.id = AMQP_CONNECTION_CLOSE_METHOD;
        reply.reply.decoded = &closed;
    } else {
        b.opened++;
    }
    pthread_mutex_unlock(&b.lock);
    return reply;
}

amqp_channel_open_ok_t *amqp_channel_open(amqp_connection_state_t c, amqp_channel_t channel)
{
    (void)c, (void)channel;
    return NULL;
}

amqp_confirm_select_ok_t *amqp_confirm_select(amqp_connection_state_t c, amqp_channel_t channel)
{
    (void)c, (void)channel;
    return NULL;
}

amqp_rpc_reply_t amqp_get_rpc_reply(amqp_connection_state_t c)
{
    (void)c;
    return fine;
}

/* True if it hung until the socket was shut down. */
static bool hung(const bool *hangs)
{
    pthread_mutex_lock(&b.lock);
    struct pollfd fd = {.fd = b.pair[0], .events = POLLRDHUP};
    bool does = *hangs;
    pthread_mutex_unlock(&b.lock);
    return does && poll(&fd, 1, -1) > 0;
}

amqp_rpc_reply_t amqp_connection_close(amqp_connection_state_t c, int code)
{
    (void)c, (void)code;
    if (hung(&b.goodbye_hangs)) {
        return (amqp_rpc_reply_t){.reply_type = AMQP_RESPONSE_LIBRARY_EXCEPTION,
                                  .library_error = AMQP_STATUS_SOCKET_ERROR};
    }
    pthread_mutex_lock(&b.lock);
    b.closed++;
    pthread_mutex_unlock(&b.lock);
    return fine;
}

static void copy(char out[300], amqp_bytes_t from)
{
    snprintf(out, 300, "%.*s", (int)from.len, (const char *)from.bytes);
}

int amqp_send_method(amqp_connection_state_t c, amqp_channel_t channel, amqp_method_number_t id,
                     void *decoded)
{
    const amqp_basic_publish_t *m = decoded;
    (void)c, (void)channel;
    if (hung(&b.hangs)) {
        return AMQP_STATUS_SOCKET_ERROR;
    }
    pthread_mutex_lock(&b.lock);
    if (id != AMQP_BASIC_PUBLISH_METHOD || b.published == MESSAGES) {
        abort();
    }
    struct fake_message *f = &b.messages[b.published];
    *f = (struct fake_message){.mandatory = m->mandatory, .connection = b.opened};
    copy(f->exchange, m->exchange);
    copy(f->key, m->routing_key);
    pthread_mutex_unlock(&b.lock);
    return AMQP_STATUS_OK;
}

int amqp_send_frame(amqp_connection_state_t c, amqp_frame_t const *frame)
{
    (void)c;
    pthread_mutex_lock(&b.lock);
    struct fake_message *f = &b.messages[b.published];
    if (frame->frame_type == AMQP_FRAME_HEADER) {
        const amqp_basic_properties_t *p = frame->payload.properties.decoded;
        copy(f->id, p->message_id);
        f->size = frame->payload.properties.body_size;
    } else {
        size_t len = frame->payload.body_fragment.len;
        f->came += len;
        f->pieces++;
        f->largest = len > f->largest ? len : f->largest;
    }
    if (f->came > f->size) {
        abort();
    }
    if (b.room && f->came >= b.room && !b.stuffed) {
        locked_stuff(true);
    }
    b.published += f->came == f->size;
    pthread_mutex_unlock(&b.lock);
    return AMQP_STATUS_OK;
}

/* The frame of a word. What it points to lives until the next call. */
static void make_frame(const struct word *w, amqp_frame_t *f)
{
    static amqp_basic_ack_t ack;
    static amqp_basic_nack_t nack;
    static amqp_basic_return_t returned;
    static amqp_basic_properties_t properties;
    static amqp_connection_blocked_t blocked;
    static amqp_channel_close_t closed;
    static struct fake_message m;
    static char text[256];
    memcpy(text, w->text, sizeof text);
    *f = (amqp_frame_t){.frame_type = AMQP_FRAME_METHOD, .payload.method.id = w->method};
    switch (w->method) {
    case 0:
        m = b.messages[w->number];
        properties = (amqp_basic_properties_t){._flags = AMQP_BASIC_MESSAGE_ID_FLAG,
                                               .message_id = amqp_cstring_bytes(m.id)};
        f->frame_type = AMQP_FRAME_HEADER;
        f->payload.properties.body_size = m.size;
        f->payload.properties.decoded = &properties;
        break;
    case AMQP_BASIC_ACK_METHOD:
        ack = (amqp_basic_ack_t){w->number, w->multiple};
        f->payload.method.decoded = &ack;
        break;
    case AMQP_BASIC_NACK_METHOD:
        nack = (amqp_basic_nack_t){.delivery_tag = w->number};
        f->payload.method.decoded = &nack;
        break;
    case AMQP_BASIC_RETURN_METHOD:
        m = b.messages[w->number];
        returned = (amqp_basic_return_t){312, amqp_cstring_bytes("NO_ROUTE"),
                                         amqp_cstring_bytes(m.exchange), amqp_cstring_bytes(m.key)};
        f->payload.method.decoded = &returned;
        break;
    case AMQP_CHANNEL_CLOSE_METHOD:
        closed = (amqp_channel_close_t){.reply_code = (uint16_t)w->number,
                                        .reply_text = amqp_cstring_bytes(text)};
        f->payload.method.decoded = &closed;
        break;
    default:
        blocked = (amqp_connection_blocked_t){amqp_cstring_bytes(text)};
        f->payload.method.decoded = &blocked;
    }
}

int amqp_simple_wait_frame_noblock(amqp_connection_state_t c, amqp_frame_t *frame,
                                   const struct timeval *timeout)
{
    char byte;
    int status = AMQP_STATUS_TIMEOUT;
    (void)c, (void)timeout;
    pthread_mutex_lock(&b.lock);
    ssize_t n = recv(b.pair[0], &byte, 1, MSG_DONTWAIT);
    if (n == 0) {
        status = AMQP_STATUS_CONNECTION_CLOSED;
    } else if (n == 1 && b.heard < b.said) {
        const struct word *w = &b.words[b.heard++ % FRAMES];
        status = w->method == 1 ? -(int)w->number : AMQP_STATUS_OK;
        make_frame(w, frame);
    }
    pthread_mutex_unlock(&b.lock);
    return status;
}
