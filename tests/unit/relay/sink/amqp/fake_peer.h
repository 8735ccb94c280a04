/*
 * A server of AMQP 1.0 that follows a script: answers that no real one gives on demand. It and the
 * sink take turns on one thread. Proton speaks for it, too, from the other side.
 */
#pragma once

#include "base/buf.h"
#include <arpa/inet.h>
#include <errno.h>
#include <proton/condition.h>
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

enum { PEER_HELD = 64 };

struct peer {
    int listener, fd, port;
    pn_connection_driver_t driver;
    pn_link_t *link; /* the last one */
    size_t connections, messages;
    int last_end;   /* of the connection before this one: 0 at its end, or an error number */
    bool goodbye;   /* it was closed by AMQP */
    char log[8192]; /* what it has seen: "send orders queue", "e1 orders" */
    pn_message_t *last;
    /* The script. */
    const char *missing; /* an address that is not there */
    const char *refuse;  /* the id of a message that is refused with `error` */
    const char *error;   /* NULL: it is released */
    const char *why;     /* the description of `error` */
    int credit;
    uint64_t max_size;
    const char *mechanisms;
    const char *greeting; /* sent in the place of AMQP; NULL: AMQP is spoken */
    size_t greeting_size;
    const char *parting; /* sent once the login has come, behind a greeting */
    size_t parting_size;
    const char *redirect;              /* a host: whoever comes is sent there */
    uint32_t max_frame;                /* 0: any */
    void (*outcome)(pn_delivery_t *d); /* of `refuse`; NULL: as `error` says */
    bool greeted;
    bool holds; /* messages are not answered */
    pn_delivery_t *held[PEER_HELD];
    size_t held_count;
};

static void peer_listen(struct peer *p)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    p->fd = -1;
    p->credit = 100;
    p->mechanisms = "ANONYMOUS";
    p->last = pn_message();
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(p->listener >= 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(p->listener, 5), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&at, &size), 0);
    p->port = ntohs(at.sin_port);
}

static void peer_drop(struct peer *p)
{
    if (p->fd >= 0) {
        pn_connection_driver_destroy(&p->driver);
        close(p->fd);
    }
    p->fd = -1;
    p->link = NULL;
    p->held_count = 0;
}

static void peer_free(struct peer *p)
{
    peer_drop(p);
    close(p->listener);
    pn_message_free(p->last);
}

static void peer_note(struct peer *p, const char *what, const char *address, const char *more)
{
    size_t used = strlen(p->log);
    int n = snprintf(p->log + used, sizeof p->log - used, "%s %s%s\n", what, address, more);
    assert_true(n > 0 && (size_t)n < sizeof p->log - used);
}

static int peer_how_ended(const struct peer *p)
{
    char rest[4096];
    ssize_t n;
    do {
        n = recv(p->fd, rest, sizeof rest, 0);
    } while (n > 0);
    return n < 0 ? errno : 0;
}

static void peer_accept(struct peer *p)
{
    int fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    p->last_end = p->fd >= 0 ? peer_how_ended(p) : 0;
    peer_drop(p);
    p->fd = fd;
    p->connections++;
    pn_transport_t *t = pn_transport();
    pn_transport_set_server(t);
    pn_transport_set_max_frame(t, p->max_frame);
    p->greeted = false;
    pn_sasl_allowed_mechs(pn_sasl(t), p->mechanisms);
    assert_int_equal(pn_connection_driver_init(&p->driver, pn_connection(), t), 0);
    assert_int_equal(pn_connection_driver_bind(&p->driver), 0);
}

static void peer_answer(const struct peer *p, pn_delivery_t *d, const char *id)
{
    if (p->refuse && strcmp(p->refuse, id) == 0 && p->outcome) {
        p->outcome(d);
    } else if (p->refuse && strcmp(p->refuse, id) == 0 && p->error) {
        pn_condition_t *c = pn_disposition_condition(pn_delivery_local(d));
        pn_condition_set_name(c, p->error);
        pn_condition_set_description(c, p->why ? p->why : "the script says so");
        pn_delivery_update(d, PN_REJECTED);
    } else {
        bool given_back = p->refuse && strcmp(p->refuse, id) == 0;
        pn_delivery_update(d, given_back ? PN_RELEASED : PN_ACCEPTED);
    }
    pn_delivery_settle(d);
}

/* Accepts what was held. */
static void peer_let_go(struct peer *p)
{
    for (size_t i = 0; i < p->held_count; i++) {
        peer_answer(p, p->held[i], "");
    }
    p->held_count = 0;
    p->holds = false;
}

static void peer_take(struct peer *p, pn_delivery_t *d)
{
    char bytes[65536], id[64];
    pn_link_t *link = pn_delivery_link(d);
    if (!pn_delivery_readable(d) || pn_delivery_partial(d)) {
        return;
    }
    ssize_t n = pn_link_recv(link, bytes, sizeof bytes);
    assert_true(n > 0);
    assert_int_equal(pn_message_decode(p->last, bytes, (size_t)n), 0);
    pn_msgid_t mid = pn_message_get_id(p->last);
    assert_int_equal(mid.type, PN_STRING);
    snprintf(id, sizeof id, "%.*s", (int)mid.u.as_bytes.size, mid.u.as_bytes.start);
    peer_note(p, id, pn_terminus_get_address(pn_link_remote_target(link)), "");
    p->messages++;
    pn_link_advance(link);
    if (p->holds) {
        assert_true(p->held_count < PEER_HELD);
        p->held[p->held_count++] = d;
    } else {
        peer_answer(p, d, id);
    }
}

static void peer_end_link(pn_link_t *link, const char *condition)
{
    pn_condition_set_name(pn_link_condition(link), condition);
    pn_condition_set_description(pn_link_condition(link), "the script says so");
    pn_link_close(link);
}

/* The sink wants to send. */
static void peer_attach(struct peer *p, pn_link_t *link)
{
    char more[64];
    pn_terminus_t *target = pn_link_remote_target(link);
    const char *address = pn_terminus_get_address(target);
    pn_data_t *can = pn_terminus_capabilities(target);
    pn_data_rewind(can);
    pn_data_next(can);
    pn_bytes_t word = pn_data_get_symbol(can);
    snprintf(more, sizeof more, " %.*s", (int)word.size, word.start);
    peer_note(p, "send", address, more);
    p->link = link;
    if (p->missing && strcmp(p->missing, address) == 0) {
        pn_link_open(link);
        peer_end_link(link, "amqp:not-found");
        return;
    }
    pn_terminus_copy(pn_link_target(link), target);
    pn_link_set_max_message_size(link, p->max_size);
    pn_link_open(link);
    pn_link_flow(link, p->credit);
}

static void peer_redirect(const struct peer *p, pn_connection_t *c)
{
    pn_data_t *to = pn_condition_info(pn_connection_condition(c));
    pn_condition_set_name(pn_connection_condition(c), "amqp:connection:redirect");
    pn_data_put_map(to);
    pn_data_enter(to);
    pn_data_put_symbol(to, pn_bytes(12, "network-host"));
    pn_data_put_string(to, pn_bytes(strlen(p->redirect), p->redirect));
    pn_data_put_symbol(to, pn_bytes(4, "port"));
    pn_data_put_int(to, 5673);
    pn_data_exit(to);
    pn_connection_close(c);
}

/* Speaks as the script has it, and no AMQP. */
static void peer_recite(struct peer *p)
{
    char bytes[512];
    ssize_t rc UNUSED;
    if (!p->greeted) {
        p->greeted = true;
        rc = send(p->fd, p->greeting, p->greeting_size, MSG_NOSIGNAL);
        return;
    }
    ssize_t n = recv(p->fd, bytes, sizeof bytes, 0);
    if (n > 0 && p->parting && memmem(bytes, (size_t)n, "PLAIN", 5)) {
        rc = send(p->fd, p->parting, p->parting_size, MSG_NOSIGNAL);
    }
}

static void peer_event(struct peer *p, pn_event_t *e)
{
    switch (pn_event_type(e)) {
    case PN_CONNECTION_REMOTE_OPEN:
        pn_connection_open(pn_event_connection(e));
        if (p->redirect) {
            peer_redirect(p, pn_event_connection(e));
        }
        break;
    case PN_CONNECTION_REMOTE_CLOSE:
        p->goodbye = true;
        break;
    case PN_SESSION_REMOTE_OPEN:
        pn_session_open(pn_event_session(e));
        break;
    case PN_LINK_REMOTE_OPEN:
        peer_attach(p, pn_event_link(e));
        break;
    case PN_DELIVERY:
        peer_take(p, pn_event_delivery(e));
        break;
    default:
        break;
    }
}

/* Accepts, reads, obeys, writes. */
static void peer_serve(struct peer *p)
{
    peer_accept(p);
    if (p->fd >= 0 && p->greeting) {
        peer_recite(p);
        return;
    }
    for (int i = 0; i < 8 && p->fd >= 0; i++) {
        pn_event_t *e;
        pn_rwbytes_t to = pn_connection_driver_read_buffer(&p->driver);
        ssize_t n = to.size ? recv(p->fd, to.start, to.size, 0) : -1;
        if (n > 0) {
            pn_connection_driver_read_done(&p->driver, (size_t)n);
        }
        while ((e = pn_connection_driver_next_event(&p->driver))) {
            peer_event(p, e);
        }
        pn_bytes_t from = pn_connection_driver_write_buffer(&p->driver);
        n = from.size ? send(p->fd, from.start, from.size, MSG_NOSIGNAL) : 0;
        if (n > 0) {
            pn_connection_driver_write_done(&p->driver, (size_t)n);
        }
    }
}
