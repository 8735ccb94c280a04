/*
 * The rules for what the broker refuses when it closes a channel or the connection: is the
 * configuration to blame or something that passes, and what can people do? A refused message
 * (basic.nack, basic.return) is in answers.c.
 */
#include "sink/rabbitmq/errors.h"

#include <stdio.h>
#include <string.h>

/* How often to look whether a broker takes events again. */
#define BLOCKED_WAIT_US (250 * US_PER_MS)

/* `part` tells apart what has one code: it stands in the broker's text. The first rule that fits
 * counts. */
static const struct rule {
    int code;
    const char *part;
    enum error_class class;
    int exit_code;
    const char *remedy;
} rules[] = {
    {AMQP_ACCESS_REFUSED, "Login was refused", ERROR_CONFIG, EXIT_CODE_PERMISSION,
     "correct sink.username and sink.password, or the user in the broker (rabbitmqctl "
     "change_password)"},
    {AMQP_ACCESS_REFUSED, "", ERROR_CONFIG, EXIT_CODE_PERMISSION,
     "grant the relay's user write permission on the exchange (rabbitmqctl set_permissions -p "
     "VHOST USER '' 'EXCHANGE' ''; the default exchange is called amq.default there)"},
    {AMQP_NOT_FOUND, "", ERROR_CONFIG, EXIT_CODE_CONFIG,
     "declare the exchange in the broker, or correct sink.exchange; the relay makes none"},
    {AMQP_NOT_ALLOWED, "is down", ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "the broker is still starting the vhost, or see its log"},
    {AMQP_NOT_ALLOWED, "limit (", ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "the broker takes no more connections; raise the limit of the vhost or user"},
    {AMQP_NOT_ALLOWED, "refused for user", ERROR_CONFIG, EXIT_CODE_PERMISSION,
     "give the relay's user access to the vhost (rabbitmqctl set_permissions -p VHOST USER '' "
     "'EXCHANGE' '')"},
    {AMQP_NOT_ALLOWED, "not found", ERROR_CONFIG, EXIT_CODE_CONFIG,
     "create the vhost (rabbitmqctl add_vhost), or correct what follows HOST:PORT/ in sink.url"},
    {AMQP_NOT_ALLOWED, "", ERROR_CONFIG, EXIT_CODE_CONFIG, "see the broker's log"},
    {AMQP_PRECONDITION_FAILED, "", ERROR_CONFIG, EXIT_CODE_CONFIG, "see the broker's log"},
};

/* Anything else passes by itself: the broker shuts down, restarts, runs out of something. */
static const struct rule other = {0, "", ERROR_RETRY, EXIT_CODE_GAVE_UP,
                                  "the connection is made again"};

static const struct rule *rule_of(int code, amqp_bytes_t text)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct rule *r = &rules[i];
        if (r->code == code &&
            (!*r->part || memmem(text.bytes, text.len, r->part, strlen(r->part)))) {
            return r;
        }
    }
    return &other;
}

int rabbit_error_status(struct error *err, const struct rabbit_host *h, const char *doing,
                        int status)
{
    const char *why = amqp_error_string2(status);
    switch (status) {
    case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED:
        why = "the host name is not known; correct it in sink.url, or the name service";
        break;
    case AMQP_STATUS_TIMEOUT:
        why = "no answer in time";
        break;
    case AMQP_STATUS_SOCKET_ERROR:
        why = "the connection is refused or lost; does RabbitMQ run and listen there?";
        break;
    case AMQP_STATUS_CONNECTION_CLOSED:
    case AMQP_STATUS_SOCKET_CLOSED:
        why = "the broker has closed the connection";
        break;
    case AMQP_STATUS_HEARTBEAT_TIMEOUT:
        why = "the broker is silent: no heartbeat for twice sink.heartbeat";
        break;
    case AMQP_STATUS_SSL_CONNECTION_FAILED:
        why = "the TLS handshake has failed; does the port speak TLS, and does the broker accept "
              "the relay's certificate?";
        break;
    case AMQP_STATUS_SSL_ERROR:
        why = "a TLS error; does the broker accept the relay's certificate (sink.tls.cert_file)?";
        break;
    default:
        break;
    }
    error_set(err, ERROR_RETRY, "rabbitmq", "%s: %s: %s", h->shown, doing, why);
    return RESULT_ERROR;
}

int rabbit_error_closed(struct error *err, const struct rabbit_host *h, int code, amqp_bytes_t text)
{
    char name[16];
    const struct rule *r = rule_of(code, text);
    error_exit(err, r->class, r->exit_code, "rabbitmq", "%s: %.*s; %s", h->shown,
               (int)(text.len < 400 ? text.len : 400), (const char *)text.bytes, r->remedy);
    snprintf(name, sizeof name, "%d", code);
    return error_code(err, name);
}

int rabbit_error_reply(struct error *err, const struct rabbit_host *h, const char *doing,
                       amqp_rpc_reply_t reply)
{
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *m = reply.reply.decoded;
        return rabbit_error_closed(err, h, m->reply_code, m->reply_text);
    }
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *m = reply.reply.decoded;
        return rabbit_error_closed(err, h, m->reply_code, m->reply_text);
    }
    return rabbit_error_status(err, h, doing,
                               reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
                                   ? reply.library_error
                                   : AMQP_STATUS_UNEXPECTED_STATE);
}

int rabbit_error_no_route(struct error *err, struct slice exchange, struct slice routing_key)
{
    error_set(
        err, ERROR_POISON, "rabbitmq",
        "no queue takes it: exchange \"%.*s\", routing key \"%.*s\"; bind a queue, or correct sink.exchange and sink.routing_key",
        SLICE_FMT(exchange), SLICE_FMT(routing_key));
    return error_code(err, "312");
}

int rabbit_error_blocked(struct error *err, const struct rabbit_host *h, const char *why)
{
    error_set(err, ERROR_BUSY, "rabbitmq",
              "%s takes no events for now (connection.blocked: %s); they wait until it has room",
              h->shown, why);
    err->retry_after_us = BLOCKED_WAIT_US;
    return RESULT_ERROR;
}

uint64_t rabbit_refused_size(int code, amqp_bytes_t text)
{
    static const char part[] = "message size ";
    const char *p = code == AMQP_PRECONDITION_FAILED
                        ? memmem(text.bytes, text.len, part, sizeof part - 1)
                        : NULL;
    uint64_t size = 0;
    if (p) {
        const char *end = (const char *)text.bytes + text.len;
        for (p += sizeof part - 1; p < end && *p >= '0' && *p <= '9' && size < UINT64_MAX / 16;
             p++) {
            size = size * 10 + (uint64_t)(*p - '0');
        }
    }
    return size;
}

struct slice rabbit_missing_exchange(int code, amqp_bytes_t text)
{
    static const char before[] = "no exchange '", after[] = "' in vhost '";
    const char *from =
        code == AMQP_NOT_FOUND ? memmem(text.bytes, text.len, before, sizeof before - 1) : NULL;
    if (!from) {
        return SLICE_NULL;
    }
    from += sizeof before - 1;
    const char *end = (const char *)text.bytes + text.len;
    const char *to = memmem(from, (size_t)(end - from), after, sizeof after - 1);
    return to ? (struct slice){from, (size_t)(to - from)} : SLICE_NULL;
}
