// rmqprod: the raw ceiling of a librabbitmq producer with publisher confirms: N persistent, mandatory messages, at most WINDOW unconfirmed.
// usage: rmqprod PORT USER PASSWORD EXCHANGE ROUTING_PREFIX N WINDOW     the broker is on 127.0.0.1; the routing key ends with the message's key
#include "common.h"
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <sys/time.h>
static amqp_connection_state_t c;
static char *confirmed; // by delivery tag
static uint64_t low = 1; // no tag below it is unconfirmed
static int64_t done, failed;
static void must(amqp_rpc_reply_t r, const char *what) { if (r.reply_type != AMQP_RESPONSE_NORMAL) die(what, amqp_error_string2(r.library_error)); }
static void settle(uint64_t tag, int multiple, int good) {
    for (uint64_t t = multiple ? low : tag; t <= tag; t++)
        if (!confirmed[t]) { confirmed[t] = 1; done++; failed += !good; }
    while (confirmed[low]) low++;
}
// Takes what the broker has said; wait: until it says something.
static void take(int wait) {
    amqp_frame_t f;
    struct timeval none = {0, 0};
    int rc = amqp_simple_wait_frame_noblock(c, &f, wait ? NULL : &none);
    for (; rc == AMQP_STATUS_OK; rc = amqp_simple_wait_frame_noblock(c, &f, &none)) {
        if (f.frame_type != AMQP_FRAME_METHOD) continue;
        if (f.payload.method.id == AMQP_BASIC_ACK_METHOD) {
            amqp_basic_ack_t *a = f.payload.method.decoded;
            settle(a->delivery_tag, a->multiple, 1);
        } else if (f.payload.method.id == AMQP_BASIC_NACK_METHOD) {
            amqp_basic_nack_t *a = f.payload.method.decoded;
            settle(a->delivery_tag, a->multiple, 0);
        } else if (f.payload.method.id != AMQP_BASIC_RETURN_METHOD) die("broker", amqp_method_name(f.payload.method.id));
        else die("broker", "it returns a message: no queue takes it");
    }
    if (rc != AMQP_STATUS_TIMEOUT) die("broker", amqp_error_string2(rc));
    amqp_maybe_release_buffers(c);
}
int main(int argc, char **argv) {
    if (argc < 8) die("usage", "rmqprod PORT USER PASSWORD EXCHANGE ROUTING_PREFIX N WINDOW");
    int64_t n = atoll(argv[6]), window = atoll(argv[7]), bytes = 0;
    confirmed = calloc(n + 2, 1);
    c = amqp_new_connection();
    amqp_socket_t *s = amqp_tcp_socket_new(c);
    if (!s || amqp_socket_open(s, "127.0.0.1", atoi(argv[1]))) die("connect", argv[1]);
    must(amqp_login(c, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, argv[2], argv[3]), "login");
    amqp_channel_open(c, 1);
    must(amqp_get_rpc_reply(c), "channel");
    amqp_confirm_select(c, 1);
    must(amqp_get_rpc_reply(c), "confirm.select");
    char key[300], val[1024], id[64];
    int64_t t0 = now_us();
    for (int64_t i = 0; i < n; i++) {
        int pl = snprintf(key, sizeof key, "%s", argv[5]), kl = order_key(key + pl, sizeof key - pl, i), vl = order_json(val, sizeof val, i, t0);
        bytes += kl + vl;
        amqp_basic_properties_t p = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG, .delivery_mode = 2,
                                     .message_id = {message_id(id, sizeof id, i), id}};
        int rc = amqp_basic_publish(c, 1, amqp_cstring_bytes(argv[4]), (amqp_bytes_t){pl + kl, key}, 1, 0, &p, (amqp_bytes_t){vl, val});
        if (rc) die("publish", amqp_error_string2(rc));
        if ((i & 63) == 63) take(0);
        while (i + 1 - done >= window) take(1);
    }
    while (done < n) take(1);
    return print_produced(n, failed, bytes, t0);
}
