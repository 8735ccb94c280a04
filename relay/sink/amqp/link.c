/*
 * The life of a connection: servers in turn, login, bytes between Proton and the wire (link.h).
 */
#include "sink/amqp/link.h"

#include "base/memory.h"
#include "sink/amqp/errors.h"

#include <proton/connection.h>
#include <proton/sasl.h>
#include <proton/session.h>
#include <proton/transport.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { ROUNDS_MAX = 64, MAX_FRAME = 1 << 20 };

void amqp_link_init(struct amqp_link *l)
{
    l->tick_us = DEADLINE_NEVER;
    ssize_t n UNUSED = getrandom(&l->names, sizeof l->names, GRND_NONBLOCK);
    amqp_wire_init(&l->wire, &l->conf->net, l->servers->tls);
}

static bool driving(const struct amqp_link *l)
{
    return l->state == AMQP_GREETING || l->state == AMQP_UP;
}

static bool broken(const struct amqp_link *l)
{
    return l->failure.class != ERROR_NONE;
}

static void fail(struct amqp_link *l, const struct error *err)
{
    if (!broken(l)) {
        l->failure = *err;
    }
}

/* --- bytes --- */

static void read_some(struct amqp_link *l, bool *progress)
{
    struct error err;
    size_t n;
    pn_rwbytes_t to = pn_connection_driver_read_buffer(&l->driver);
    if (to.size == 0) {
        return;
    }
    int rc = amqp_wire_read(&l->wire, to.start, to.size, &n, &err);
    if (rc == RESULT_DONE) {
        pn_connection_driver_read_done(&l->driver, n);
        *progress = true;
    } else if (rc == RESULT_ERROR) {
        fail(l, &err);
    }
}

static void write_some(struct amqp_link *l, bool *progress)
{
    struct error err;
    size_t n;
    pn_bytes_t from = pn_connection_driver_write_buffer(&l->driver);
    l->unsent = from.size > 0;
    if (from.size == 0 || broken(l)) {
        return;
    }
    int rc = amqp_wire_write(&l->wire, from.start, from.size, &n, &err);
    if (rc == RESULT_DONE) {
        l->unsent = pn_connection_driver_write_done(&l->driver, n).size > 0;
        bool all = !l->unsent && pn_session_outgoing_bytes(l->session) == 0;
        l->queued -= n < l->queued && !all ? n : l->queued;
        *progress = true;
    } else if (rc == RESULT_ERROR) {
        fail(l, &err);
    }
}

/* A refused login that the server does not answer for: it is not the operator's fault. */
static bool cannot_log_in_now(const struct amqp_link *l)
{
    pn_sasl_outcome_t outcome = pn_sasl_outcome(pn_sasl(l->driver.transport));
    return outcome == PN_SASL_TEMP || outcome == PN_SASL_SYS;
}

static void ended(struct amqp_link *l, pn_condition_t *c)
{
    struct error err;
    if (cannot_log_in_now(l)) {
        amqp_error_login_later(&err, amqp_link_server(l));
    } else {
        amqp_error_connection(&err, amqp_link_server(l), c);
    }
    if (l->failure.class == ERROR_RETRY && pn_condition_is_set(c)) {
        l->failure = err; /* it says why the wire has ended */
    }
    fail(l, &err);
}

static void take_events(struct amqp_link *l)
{
    pn_event_t *e;
    while ((e = pn_connection_driver_next_event(&l->driver))) {
        switch (pn_event_type(e)) {
        case PN_CONNECTION_REMOTE_OPEN:
            l->opened = true;
            break;
        case PN_CONNECTION_REMOTE_CLOSE:
            ended(l, pn_connection_remote_condition(pn_event_connection(e)));
            break;
        case PN_SESSION_REMOTE_CLOSE:
            ended(l, pn_session_remote_condition(pn_event_session(e)));
            break;
        case PN_TRANSPORT_ERROR:
        case PN_TRANSPORT_CLOSED:
            ended(l, pn_transport_condition(pn_event_transport(e)));
            break;
        default:
            amqp_senders_event(l, e);
        }
    }
}

/* After reading: what came while nobody listened shows that the server is not silent. */
static void tick(struct amqp_link *l)
{
    int64_t now_ms = clock_mono_us() / US_PER_MS;
    int64_t next_ms = pn_transport_tick(l->driver.transport, now_ms);
    l->tick_us = next_ms > 0 ? next_ms * US_PER_MS : DEADLINE_NEVER;
}

/* A server may have said why before it closed what we still write to. */
static void read_last_words(struct amqp_link *l)
{
    bool progress = driving(l);
    for (int rounds = 0; progress && rounds < ROUNDS_MAX; rounds++) {
        progress = false;
        read_some(l, &progress);
        take_events(l);
    }
}

int amqp_link_run(struct amqp_link *l, struct error *err)
{
    bool progress = driving(l);
    int rounds = 0;
    if (progress && !broken(l)) {
        read_some(l, &progress);
        take_events(l);
        tick(l);
    }
    for (; progress && !broken(l) && rounds < ROUNDS_MAX; rounds++) {
        progress = false;
        read_some(l, &progress);
        take_events(l);
        write_some(l, &progress);
    }
    l->more = rounds == ROUNDS_MAX;
    if (driving(l) && !broken(l)) {
        amqp_senders_watch(l);
    }
    if (broken(l)) {
        read_last_words(l);
        *err = l->failure;
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

/* --- life --- */

static void put_text(pn_data_t *to, const char *name, const char *value)
{
    pn_data_put_symbol(to, pn_bytes(strlen(name), name));
    pn_data_put_string(to, pn_bytes(strlen(value), value));
}

static void log_in(const struct net_server *server, pn_connection_t *c, pn_transport_t *t)
{
    pn_sasl_t *sasl = pn_sasl(t);
    pn_sasl_set_allow_insecure_mechs(sasl, true); /* Proton does not know of the wire's TLS */
    if (*server->user) {
        pn_connection_set_user(c, server->user);
        pn_connection_set_password(c, server->password);
    }
    pn_sasl_allowed_mechs(sasl, *server->user ? "PLAIN" : "ANONYMOUS");
}

/* The wire is ready: Proton gets to work. */
static void greet(struct amqp_link *l)
{
    char name[160];
    const struct net_server *server = &l->servers->items[l->current];
    pn_connection_t *c = memory_need(pn_connection());
    pn_transport_t *t = memory_need(pn_transport());
    memory_need(pn_connection_driver_init(&l->driver, c, t) == 0 ? c : NULL);
    snprintf(name, sizeof name, "commitrelay %.100s", l->env->pipeline);
    pn_connection_set_container(c, name);
    pn_connection_set_hostname(c, server->name);
    pn_data_t *properties = pn_connection_properties(c);
    pn_data_put_map(properties);
    pn_data_enter(properties);
    put_text(properties, "product", "commitrelay");
    put_text(properties, "version", COMMITRELAY_VERSION);
    pn_data_exit(properties);
    log_in(server, c, t);
    pn_transport_set_idle_timeout(t, (pn_millis_t)(l->conf->idle_timeout_us / US_PER_MS));
    pn_transport_set_max_frame(t, MAX_FRAME);
    pn_connection_open(c);
    l->session = pn_session(c);
    pn_session_open(l->session);
    l->opened = l->unsent = false;
    l->state = AMQP_GREETING;
    if (l->fixed) {
        amqp_link_sender(l, slice_from(l->fixed));
    }
}

/* Up: the server has opened the connection, and there is the address that all events go to. */
static int greeted(struct amqp_link *l, struct error *err)
{
    if (amqp_link_run(l, err)) {
        return RESULT_ERROR;
    }
    if (l->opened && (!l->fixed || l->senders[0]->state == SENDER_UP)) {
        l->state = AMQP_UP;
        return RESULT_DONE;
    }
    if (clock_mono_us() < l->deadline_us) {
        return RESULT_AGAIN;
    }
    return error_set(err, ERROR_RETRY, "amqp",
                     "%s: no answer to the login within sink.connect_timeout (%.1f s); see whether "
                     "the broker stands still, and whether it speaks AMQP 1.0 on this port",
                     amqp_link_server(l), (double)l->conf->net.connect_timeout_us / 1e6);
}

/* Goes on with the current server as far as possible without waiting. */
static int advance(struct amqp_link *l, struct error *err)
{
    if (l->state == AMQP_DOWN) {
        l->deadline_us = clock_mono_us() + l->conf->net.connect_timeout_us;
        amqp_wire_begin(&l->wire, &l->servers->items[l->current], l->deadline_us);
        l->state = AMQP_DIALLING;
    }
    if (l->state == AMQP_DIALLING) {
        int rc = amqp_wire_open(&l->wire, err);
        if (rc) {
            return rc;
        }
        greet(l);
    }
    return l->state == AMQP_GREETING ? greeted(l, err) : RESULT_DONE;
}

static void drop(struct amqp_link *l, bool throw_away)
{
    amqp_senders_clear(l);
    if (driving(l)) {
        pn_connection_driver_destroy(&l->driver);
    }
    amqp_wire_close(&l->wire, throw_away);
    l->session = NULL;
    l->unanswered = l->queued = 0;
    l->opened = l->unsent = l->more = false;
    l->tick_us = DEADLINE_NEVER;
    error_clear(&l->failure);
    l->state = AMQP_DOWN;
}

/* One server that may come back is enough to try again. */
static void add_failure(struct error *all, const struct error *one)
{
    struct error before = *all;
    if (before.class == ERROR_NONE || before.class == ERROR_CONFIG) {
        *all = *one;
    }
    if (before.class != ERROR_NONE) {
        snprintf(all->text, sizeof all->text, "%.480s; and %.480s", before.text, one->text);
    }
}

int amqp_link_open(struct amqp_link *l, struct error *err)
{
    if (l->state == AMQP_DOWN) {
        l->left = l->servers->count;
        error_clear(&l->tried);
    }
    int rc;
    while ((rc = advance(l, err)) == RESULT_ERROR) {
        add_failure(&l->tried, err);
        drop(l, false);
        l->current = (l->current + 1) % l->servers->count;
        if (--l->left == 0) {
            *err = l->tried;
            return RESULT_ERROR;
        }
    }
    return rc;
}

void amqp_link_close(struct amqp_link *l)
{
    struct error ignored;
    bool under_way = l->unanswered > 0;
    if (l->state == AMQP_UP && !broken(l) && !under_way) {
        pn_connection_close(l->driver.connection);
        int rc UNUSED = amqp_link_run(l, &ignored); /* whatever the socket takes at once */
    }
    drop(l, under_way);
}

void amqp_link_release(struct amqp_link *l)
{
    amqp_link_close(l);
    amqp_wire_release(&l->wire, l->env);
}

void amqp_link_poll_fds(const struct amqp_link *l, struct poll_set *set)
{
    amqp_wire_poll_fds(&l->wire, l->unsent, set);
    if (driving(l)) {
        poll_set_deadline(set, l->more ? clock_mono_us() : l->tick_us);
        poll_set_deadline(set, amqp_senders_deadline(l));
    }
    if (l->state == AMQP_GREETING) {
        poll_set_deadline(set, l->deadline_us);
    }
}
