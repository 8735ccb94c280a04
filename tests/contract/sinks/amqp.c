/* The amqp sink, to a broker that run.py starts, read by a connection that shares nothing with it
 * but the library, on a socket of its own. */
#include "../../unit/unit.h"

#include "../plugin_conf.h"
#include "../sink_fixture.h"

#include <arpa/inet.h>
#include <poll.h>
#include <proton/connection.h>
#include <proton/connection_driver.h>
#include <proton/delivery.h>
#include <proton/link.h>
#include <proton/message.h>
#include <proton/sasl.h>
#include <proton/session.h>
#include <proton/terminus.h>
#include <proton/transport.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CREDIT = 1000, LOOK_MS = 20 };

struct reader {
    int fd;
    pn_connection_driver_t driver;
    pn_link_t *link;
    bool there; /* the broker has opened the link */
};

static void see(struct rig *r, struct reader *own, pn_delivery_t *d)
{
    char bytes[1 << 16], value[16];
    if (!pn_delivery_readable(d) || pn_delivery_partial(d)) {
        return;
    }
    ssize_t n = pn_link_recv(own->link, bytes, sizeof bytes);
    pn_message_t *m = pn_message();
    assert_true(n > 0);
    assert_int_equal(pn_message_decode(m, bytes, (size_t)n), 0);
    pn_data_t *body = pn_message_body(m);
    pn_data_rewind(body);
    assert_true(pn_data_next(body));
    pn_bytes_t text = pn_data_get_binary(body);
    snprintf(value, sizeof value, "%.*s", (int)text.size, text.start);
    rig_saw(r, atoi(value));
    pn_message_free(m);
    pn_link_advance(own->link);
    pn_delivery_update(d, PN_ACCEPTED);
    pn_delivery_settle(d);
    pn_link_flow(own->link, 1);
}

static void take_events(struct rig *r, struct reader *own)
{
    pn_event_t *e;
    while ((e = pn_connection_driver_next_event(&own->driver))) {
        switch (pn_event_type(e)) {
        case PN_LINK_REMOTE_OPEN:
            own->there = true;
            break;
        case PN_DELIVERY:
            see(r, own, pn_event_delivery(e));
            break;
        case PN_TRANSPORT_ERROR:
        case PN_LINK_REMOTE_CLOSE:
        case PN_CONNECTION_REMOTE_CLOSE:
            fail_msg("the reader was refused");
            break;
        default:
            break;
        }
    }
}

/* Writes and reads until nothing comes for a moment. */
static void pump(struct rig *r, struct reader *own)
{
    while (true) {
        take_events(r, own);
        pn_bytes_t out = pn_connection_driver_write_buffer(&own->driver);
        if (out.size > 0) {
            ssize_t n = send(own->fd, out.start, out.size, MSG_NOSIGNAL);
            assert_true(n > 0);
            pn_connection_driver_write_done(&own->driver, (size_t)n);
            continue;
        }
        struct pollfd p = {.fd = own->fd, .events = POLLIN};
        if (poll(&p, 1, LOOK_MS) <= 0) {
            return;
        }
        pn_rwbytes_t in = pn_connection_driver_read_buffer(&own->driver);
        ssize_t n = recv(own->fd, in.start, in.size, 0);
        assert_true(n > 0);
        pn_connection_driver_read_done(&own->driver, (size_t)n);
    }
}

static struct reader *reader_new(struct rig *r, int port)
{
    struct reader *own = calloc(1, sizeof *own);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    pn_connection_t *c = pn_connection();
    pn_transport_t *t = pn_transport();
    assert_non_null(own);
    own->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(own->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(pn_connection_driver_init(&own->driver, c, t), 0);
    pn_connection_set_container(c, "reader");
    pn_connection_set_user(c, "owner");
    pn_connection_set_password(c, "hunter2");
    pn_sasl_set_allow_insecure_mechs(pn_sasl(t), true);
    pn_sasl_allowed_mechs(pn_sasl(t), "PLAIN");
    pn_connection_open(c);
    pn_session_t *session = pn_session(c);
    pn_session_open(session);
    own->link = pn_receiver(session, "reader");
    pn_terminus_set_address(pn_link_source(own->link), r->where);
    pn_data_put_symbol(pn_terminus_capabilities(pn_link_source(own->link)), pn_bytes(5, "queue"));
    pn_link_open(own->link);
    pn_link_flow(own->link, CREDIT);
    while (!own->there) {
        pump(r, own);
    }
    return own;
}

/* COMMITRELAY_TEST_AMQP is the port of a broker on this machine. Each case has a queue of its own,
 * which the broker makes for the reader. */
static void amqp_up(struct rig *r)
{
    static int cases;
    static char url[64];
    const char *port = getenv("COMMITRELAY_TEST_AMQP");
    if (!port) {
        fail_msg("COMMITRELAY_TEST_AMQP is not set: it must be the port of a broker for tests");
        return;
    }
    snprintf(r->where, sizeof r->where, "contract-%d", ++cases);
    snprintf(url, sizeof url, "amqp://127.0.0.1:%s", port);
    r->env.fixed_topic = r->where;
    rig_conf_new(r);
    plugin_conf_text(r->ops->keys, r->conf, "url", url);
    plugin_conf_text(r->ops->keys, r->conf, "username", "owner");
    plugin_conf_text(r->ops->keys, r->conf, "password", "hunter2");
    r->own = reader_new(r, atoi(port));
}

static void amqp_down(struct rig *r)
{
    struct reader *own = r->own;
    pn_connection_driver_destroy(&own->driver);
    close(own->fd);
    free(own);
}

static void amqp_look(struct rig *r)
{
    pump(r, r->own);
}

static void amqp_narrow(struct rig *r)
{
    r->env.max_in_flight = 20;
}

static void no_text(struct rig *r, struct event *e)
{
    (void)r;
    e->type = SLICE_LITERAL("\xff");
}

const struct sink_kind sink_kind_amqp = {
    .up = amqp_up,
    .down = amqp_down,
    .look = amqp_look,
    .narrow = amqp_narrow,
    .shows_later = true,
    .spoil = no_text,
};
