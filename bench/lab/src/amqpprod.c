// amqpprod: the raw ceiling of a qpid-proton sender: N durable messages to one queue, as many on their way as the broker gives credit for,
// each counted when the broker has accepted it.
// usage: amqpprod PORT USER PASSWORD ADDRESS N     the broker is on 127.0.0.1
#include "common.h"
#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/event.h>
#include <proton/link.h>
#include <proton/message.h>
#include <proton/proactor.h>
#include <proton/sasl.h>
#include <proton/session.h>
#include <proton/transport.h>
static const char *address;
static int64_t n, sent, done, failed, bytes, t0;
static pn_message_t *message;
static pn_rwbytes_t encoded;
static pn_bytes_t text(const char *s) { return pn_bytes(strlen(s), s); }
static void open_all(pn_connection_t *c) {
    pn_session_t *s = pn_session(c);
    pn_connection_open(c);
    pn_session_open(s);
    pn_link_t *l = pn_sender(s, "amqpprod");
    pn_terminus_set_address(pn_link_target(l), address);
    pn_data_put_symbol(pn_terminus_capabilities(pn_link_target(l)), text("queue"));
    pn_link_set_snd_settle_mode(l, PN_SND_UNSETTLED);
    pn_link_open(l);
}
static void send_some(pn_link_t *l) {
    char key[32], val[1024], id[64];
    if (!t0) t0 = now_us();
    for (; sent < n && pn_link_credit(l) > 0; sent++) {
        int kl = order_key(key, sizeof key, sent), vl = order_json(val, sizeof val, sent, t0), il = message_id(id, sizeof id, sent);
        bytes += kl + vl;
        pn_message_clear(message);
        pn_message_set_durable(message, true);
        pn_message_set_inferred(message, true); // the body is a data section
        pn_message_set_group_id(message, key);
        pn_data_put_string(pn_message_id(message), pn_bytes(il, id));
        pn_data_t *p = pn_message_properties(message);
        pn_data_put_map(p);
        pn_data_enter(p);
        pn_data_put_string(p, text("_AMQ_DUPL_ID"));
        pn_data_put_string(p, pn_bytes(il, id));
        pn_data_exit(p);
        pn_data_put_binary(pn_message_body(message), pn_bytes(vl, val));
        pn_delivery(l, pn_dtag((const char *)&sent, sizeof sent));
        if (pn_message_send(message, l, &encoded) < 0) die("send", pn_error_text(pn_message_error(message)));
    }
}
static void ended(pn_condition_t *c) { if (done < n) die("broker", pn_condition_is_set(c) ? pn_condition_get_description(c) : "it ends the connection"); }
static int handle(pn_event_t *e) {
    pn_delivery_t *d;
    switch (pn_event_type(e)) {
    case PN_CONNECTION_INIT: open_all(pn_event_connection(e)); break;
    case PN_LINK_FLOW: send_some(pn_event_link(e)); break;
    case PN_DELIVERY:
        d = pn_event_delivery(e);
        if (!pn_delivery_updated(d)) break;
        done++, failed += pn_delivery_remote_state(d) != PN_ACCEPTED;
        pn_delivery_settle(d);
        if (done == n) pn_connection_close(pn_event_connection(e));
        break;
    case PN_LINK_REMOTE_CLOSE: ended(pn_link_remote_condition(pn_event_link(e))); break;
    case PN_CONNECTION_REMOTE_CLOSE: ended(pn_connection_remote_condition(pn_event_connection(e))); break;
    case PN_TRANSPORT_CLOSED: ended(pn_transport_condition(pn_event_transport(e))); return 0;
    default: break;
    }
    return done < n;
}
int main(int argc, char **argv) {
    if (argc < 6) die("usage", "amqpprod PORT USER PASSWORD ADDRESS N");
    address = argv[4], n = atoll(argv[5]);
    message = pn_message();
    pn_proactor_t *p = pn_proactor();
    pn_connection_t *c = pn_connection();
    pn_transport_t *t = pn_transport();
    pn_connection_set_container(c, "amqpprod");
    pn_connection_set_user(c, argv[2]);
    pn_connection_set_password(c, argv[3]);
    pn_sasl_set_allow_insecure_mechs(pn_sasl(t), true);
    pn_sasl_allowed_mechs(pn_sasl(t), "PLAIN");
    char to[PN_MAX_ADDR];
    pn_proactor_addr(to, sizeof to, "127.0.0.1", argv[1]);
    pn_proactor_connect2(p, c, t, to);
    for (int more = 1; more;) {
        pn_event_batch_t *b = pn_proactor_wait(p);
        for (pn_event_t *e; more && (e = pn_event_batch_next(b));) more = handle(e);
        pn_proactor_done(p, b);
    }
    int rc = print_produced(n, failed, bytes, t0);
    pn_proactor_free(p);
    pn_message_free(message);
    free(encoded.start);
    return rc;
}
