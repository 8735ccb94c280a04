/* The RabbitMQ sink, to a broker that run.py starts, read by a connection that shares nothing with
 * it but the library. */
#include "../../unit/unit.h"

#include "../plugin_conf.h"
#include "../sink_fixture.h"

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNEL = 1, FRAME_MAX = 131072 };

/* COMMITRELAY_TEST_RABBITMQ is the port of a broker on this machine. */
static amqp_connection_state_t reader_new(int port)
{
    amqp_connection_state_t c = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(c);
    assert_int_equal(amqp_socket_open(socket, "127.0.0.1", port), AMQP_STATUS_OK);
    assert_int_equal(
        amqp_login(c, "/", 0, FRAME_MAX, 0, AMQP_SASL_METHOD_PLAIN, "owner", "hunter2").reply_type,
        AMQP_RESPONSE_NORMAL);
    assert_non_null(amqp_channel_open(c, CHANNEL));
    return c;
}

/* Each case has a queue of its own. */
static void rabbitmq_up(struct rig *r)
{
    static int cases;
    static char url[64];
    const char *port = getenv("COMMITRELAY_TEST_RABBITMQ");
    if (!port) {
        fail_msg("COMMITRELAY_TEST_RABBITMQ is not set: it must be the port of a broker for tests");
        return;
    }
    snprintf(r->where, sizeof r->where, "contract-%d", ++cases);
    snprintf(url, sizeof url, "amqp://127.0.0.1:%s", port);
    r->env.fixed_topic = r->where;
    rig_conf_new(r);
    plugin_conf_text(r->ops->keys, r->conf, "url", url);
    plugin_conf_text(r->ops->keys, r->conf, "username", "owner");
    plugin_conf_text(r->ops->keys, r->conf, "password", "hunter2");
    r->own = reader_new(atoi(port));
    assert_non_null(amqp_queue_declare(r->own, CHANNEL, amqp_cstring_bytes(r->where), 0, 1, 0, 0,
                                       amqp_empty_table));
}

static void rabbitmq_down(struct rig *r)
{
    amqp_connection_close(r->own, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(r->own);
}

static void rabbitmq_look(struct rig *r)
{
    while (true) {
        amqp_message_t m;
        char value[16];
        amqp_maybe_release_buffers(r->own);
        amqp_rpc_reply_t got = amqp_basic_get(r->own, CHANNEL, amqp_cstring_bytes(r->where), 1);
        assert_int_equal(got.reply_type, AMQP_RESPONSE_NORMAL);
        if (got.reply.id == AMQP_BASIC_GET_EMPTY_METHOD) {
            return;
        }
        assert_int_equal(amqp_read_message(r->own, CHANNEL, &m, 0).reply_type,
                         AMQP_RESPONSE_NORMAL);
        snprintf(value, sizeof value, "%.*s", (int)m.body.len, (const char *)m.body.bytes);
        rig_saw(r, atoi(value));
        amqp_destroy_message(&m);
    }
}

static void rabbitmq_narrow(struct rig *r)
{
    r->env.max_in_flight = 20;
}

static void unroutable(struct rig *r, struct event *e)
{
    (void)r;
    e->topic = SLICE_LITERAL("no-such-queue");
}

const struct sink_kind sink_kind_rabbitmq = {
    .up = rabbitmq_up,
    .down = rabbitmq_down,
    .look = rabbitmq_look,
    .narrow = rabbitmq_narrow,
    .spoil = unroutable,
};
