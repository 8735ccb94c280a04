/*
 * `check --connect`: looks at the broker without publishing anything.
 */
#include "sink/rabbitmq/check.h"

#include "sink/rabbitmq/connection.h"
#include "sink/rabbitmq/errors.h"

#include <stdio.h>
#include <string.h>

struct look {
    const struct rabbit_conf *conf;
    const struct rabbit_hosts *hosts;
    const char *pipeline;
    finding_report *report;
    void *ctx;
};

static void tell(const struct look *l, const struct error *err)
{
    l->report(l->ctx, err->exit_code, err->text, "");
}

/* A refused request closes the channel, so each of these has a connection of its own. False: no
 * connection, which is reported already. */
static bool connected(const struct look *l, const struct rabbit_host *h, amqp_connection_state_t *c)
{
    struct error err;
    if (rabbit_connect(l->conf, l->hosts->tls, h, l->pipeline, c, &err)) {
        tell(l, &err);
        return false;
    }
    return true;
}

static bool has_exchange(const struct look *l, const struct rabbit_host *h, const char *exchange)
{
    struct error err;
    amqp_connection_state_t c;
    if (!connected(l, h, &c)) {
        return false;
    }
    int rc = rabbit_exchange_exists(c, h, exchange, &err);
    if (rc) {
        tell(l, &err);
    }
    rabbit_hang_up(c, rabbit_say_goodbye(c));
    return rc == RESULT_DONE;
}

static void look_for_queue(const struct look *l, const struct rabbit_host *h, const char *queue)
{
    char text[512];
    amqp_connection_state_t c;
    if (!connected(l, h, &c)) {
        return;
    }
    amqp_queue_declare(c, RABBIT_CHANNEL, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(c);
    const amqp_channel_close_t *closed = reply.reply.decoded;
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD && closed->reply_code == AMQP_NOT_FOUND) {
        snprintf(text, sizeof text,
                 "%s: there is no queue \"%s\", and the default exchange takes events for queues "
                 "only: each event would be poison; declare the queue, or correct "
                 "sink.routing_key",
                 h->shown, queue);
        l->report(l->ctx, EXIT_CODE_CONFIG, text, "");
    }
    rabbit_hang_up(c, rabbit_say_goodbye(c));
}

/* Whether the user may write to the exchange. Nothing asks that but publishing, or binding one
 * exchange to another: the broker looks whether the user may write to the destination before it
 * looks at anything else. So a binding that nobody has is removed, which changes nothing. */
static void look_for_permission(const struct look *l, const struct rabbit_host *h,
                                const char *exchange)
{
    struct error err;
    char about[300];
    amqp_connection_state_t c;
    const char *source = strcmp(exchange, "amq.direct") == 0 ? "amq.topic" : "amq.direct";
    if (!connected(l, h, &c)) {
        return;
    }
    amqp_exchange_unbind(
        c, RABBIT_CHANNEL, amqp_cstring_bytes(exchange), amqp_cstring_bytes(source),
        amqp_cstring_bytes("commitrelay-check: nobody has this binding"), amqp_empty_table);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(c);
    const amqp_channel_close_t *closed = reply.reply.decoded;
    snprintf(about, sizeof about, "exchange '%.255s' in vhost",
             *exchange ? exchange : "amq.default");
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD && closed->reply_code == AMQP_ACCESS_REFUSED &&
        memmem(closed->reply_text.bytes, closed->reply_text.len, about, strlen(about))) {
        rabbit_error_reply(&err, h, "looking for the permission", reply);
        tell(l, &err);
    }
    rabbit_hang_up(c, rabbit_say_goodbye(c));
}

void rabbit_check(const struct rabbit_conf *conf, const struct rabbit_hosts *hosts,
                  const char *pipeline, const char *exchange, const char *queue,
                  finding_report *report, void *ctx)
{
    struct look l = {conf, hosts, pipeline, report, ctx};
    bool looked = false;
    for (size_t i = 0; i < hosts->count; i++) {
        const struct rabbit_host *h = &hosts->items[i];
        amqp_connection_state_t c;
        if (!connected(&l, h, &c)) {
            continue;
        }
        rabbit_hang_up(c, rabbit_say_goodbye(c));
        if (looked || !exchange) { /* servers of one cluster have the same exchanges */
            continue;
        }
        looked = true;
        if (has_exchange(&l, h, exchange)) {
            look_for_permission(&l, h, exchange);
            if (!*exchange && queue) {
                look_for_queue(&l, h, queue);
            }
        }
    }
}
