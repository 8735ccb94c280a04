/*
 * What the broker says about messages. Acknowledgements come out of order, and `multiple` covers
 * all that is still open below. A message that no queue takes is returned first and acknowledged
 * then.
 */
#include "sink/rabbitmq/internal.h"

#include <stdio.h>
#include <string.h>

/* The entry is answered. With the lock held. */
static void settle(struct rabbit_server *w, uint64_t number)
{
    struct rabbit_session *s = w->s;
    unsigned char *fate = rabbit_fate_at(w, number);
    if (*fate == RABBIT_UNANSWERED) {
        *fate = RABBIT_SETTLED;
        rabbit_add_result(s, number, SINK_DELIVERED);
        s->window += s->window <= s->mask;
    } else if (*fate == RABBIT_RETURNED) {
        *fate = RABBIT_POISONED;
    }
    while (s->low < w->sent && *rabbit_fate_at(w, s->low) >= RABBIT_POISONED) {
        s->low++;
    }
    while (s->given < s->low && *rabbit_fate_at(w, s->given) == RABBIT_SETTLED) {
        s->given++;
    }
}

static int broken(struct rabbit_server *w, const char *what, struct error *err)
{
    return error_set(
        err, ERROR_RETRY, "rabbitmq",
        "%s: the broker has answered something that cannot be: %s; the connection is made again",
        w->host->shown, what);
}

static int take_ack(struct rabbit_server *w, const amqp_basic_ack_t *m, struct error *err)
{
    struct rabbit_session *s = w->s;
    uint64_t tag = m->multiple && m->delivery_tag == 0 ? w->sent : m->delivery_tag;
    if (tag > w->sent || (tag == 0 && !m->multiple)) {
        return broken(w, "an acknowledgement of a message that was not sent", err);
    }
    pthread_mutex_lock(&s->lock);
    for (uint64_t n = m->multiple ? s->low : tag - 1; n < tag; n++) {
        if (n >= s->low) {
            settle(w, n);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return RESULT_DONE;
}

static void copy_text(char *out, size_t size, amqp_bytes_t from)
{
    size_t n = from.len < size - 1 ? from.len : size - 1;
    memcpy(out, from.bytes ? from.bytes : "", n);
    out[n] = '\0';
}

static int take_return(struct rabbit_server *w, const amqp_basic_return_t *m)
{
    w->returning = true;
    copy_text(w->return_exchange, sizeof w->return_exchange, m->exchange);
    copy_text(w->return_key, sizeof w->return_key, m->routing_key);
    return RESULT_DONE;
}

static bool is_returned(const struct rabbit_server *w, const struct rabbit_entry *e,
                        amqp_bytes_t id, uint64_t size)
{
    return e->value.len == size && e->id.len == id.len &&
           memcmp(e->id.ptr, id.bytes, id.len) == 0 &&
           slice_equal_str(e->routing_key, w->return_key) &&
           slice_equal_str(e->exchange, w->return_exchange);
}

/* The properties of the message that comes back. It does not say its delivery tag; the oldest
 * unanswered one that looks the same is meant, because they come back in their order. */
static int take_returned(struct rabbit_server *w, const amqp_frame_t *f, struct error *err)
{
    const amqp_basic_properties_t *p = f->payload.properties.decoded;
    w->return_left = f->payload.properties.body_size;
    w->returning = w->return_left > 0;
    for (uint64_t n = w->low; n < w->sent && (p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG); n++) {
        if (*rabbit_fate_at(w, n) == RABBIT_UNANSWERED &&
            is_returned(w, rabbit_entry_at(w, n), p->message_id, f->payload.properties.body_size)) {
            *rabbit_fate_at(w, n) = RABBIT_RETURNED;
            w->poisoned = true;
            return RESULT_DONE;
        }
    }
    return broken(w, "it returned a message that was not sent", err);
}

/* The n-th entry is poison, with the broker's words for it. */
static void poison(struct rabbit_server *w, uint64_t n, amqp_bytes_t text, const char *remedy)
{
    pthread_mutex_lock(&w->s->lock);
    error_set(&w->s->poison, ERROR_POISON, "rabbitmq", "%s: %.*s; %s", w->host->shown,
              (int)(text.len < 400 ? text.len : 400), (const char *)text.bytes, remedy);
    rabbit_add_result(w->s, n, SINK_POISON);
    pthread_mutex_unlock(&w->s->lock);
}

/* The channel is closed because of one message: it has this size, or goes to this exchange. The
 * oldest unanswered one like that is meant, for the broker takes them in their order. False: none
 * is like that. */
static bool guilty(struct rabbit_server *w, uint64_t size, struct slice exchange, uint64_t *ret)
{
    for (uint64_t n = w->low; n < w->sent + w->begun; n++) {
        const struct rabbit_entry *e = rabbit_entry_at(w, n);
        bool is = size > 0 ? e->value.len == size : slice_equal(e->exchange, exchange);
        if (*rabbit_fate_at(w, n) == RABBIT_UNANSWERED && is) {
            *ret = n;
            return true;
        }
    }
    return false;
}

/* An exchange that is the same for every event is missing by the operator's fault, any other one by
 * the event's. */
static int take_closed(struct rabbit_server *w, int code, amqp_bytes_t text, struct error *err)
{
    uint64_t size = rabbit_refused_size(code, text), n;
    struct slice exchange = w->s->exchange ? SLICE_NULL : rabbit_missing_exchange(code, text);
    if ((size > 0 || !slice_is_null(exchange)) && guilty(w, size, exchange, &n)) {
        poison(w, n, text,
               size > 0 ? "raise max_message_size in the broker if it should pass"
                        : "declare the exchange, or correct what sink.exchange is made of");
        return error_set(err, ERROR_RETRY, "rabbitmq",
                         "%s: the channel was closed because of one message; it is opened again",
                         w->host->shown);
    }
    return rabbit_error_closed(err, w->host, code, text);
}

static int take_refused(struct rabbit_server *w, struct error *err)
{
    error_set(
        err, ERROR_RETRY, "rabbitmq",
        "%s: the broker refuses an event (basic.nack): its queue is full (x-overflow: reject-publish) or has failed; consume from it, or see the broker's log",
        w->host->shown);
    return error_code(err, "nack");
}

static void take_blocked(struct rabbit_server *w, const amqp_connection_blocked_t *m)
{
    pthread_mutex_lock(&w->s->lock);
    copy_text(w->s->blocked_why, sizeof w->s->blocked_why, m->reason);
    pthread_mutex_unlock(&w->s->lock);
    w->blocked = true;
}

static int take_method(struct rabbit_server *w, const amqp_method_t *m, struct error *err)
{
    switch (m->id) {
    case AMQP_BASIC_ACK_METHOD:
        return take_ack(w, m->decoded, err);
    case AMQP_BASIC_NACK_METHOD:
        return take_refused(w, err);
    case AMQP_BASIC_RETURN_METHOD:
        return take_return(w, m->decoded);
    case AMQP_CONNECTION_BLOCKED_METHOD:
        take_blocked(w, m->decoded);
        return RESULT_DONE;
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        w->blocked = false;
        return RESULT_DONE;
    case AMQP_CHANNEL_CLOSE_METHOD: {
        const amqp_channel_close_t *closed = m->decoded;
        return take_closed(w, closed->reply_code, closed->reply_text, err);
    }
    case AMQP_CONNECTION_CLOSE_METHOD: {
        const amqp_connection_close_t *closed = m->decoded;
        return take_closed(w, closed->reply_code, closed->reply_text, err);
    }
    default:
        return RESULT_DONE;
    }
}

int rabbit_take_frame(struct rabbit_server *w, const amqp_frame_t *f, struct error *err)
{
    if (f->frame_type == AMQP_FRAME_METHOD) {
        return take_method(w, &f->payload.method, err);
    }
    if (f->frame_type == AMQP_FRAME_HEADER && w->returning) {
        return take_returned(w, f, err);
    }
    if (f->frame_type == AMQP_FRAME_BODY && w->returning) {
        size_t len = f->payload.body_fragment.len;
        w->return_left -= len < w->return_left ? len : w->return_left;
        w->returning = w->return_left > 0;
    }
    return RESULT_DONE;
}
