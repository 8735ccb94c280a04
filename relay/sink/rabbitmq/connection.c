/*
 * Connects to a RabbitMQ server. librabbitmq verifies certificates by code of its own that knows no
 * IP addresses and gives no reason; here OpenSSL does it, in the library's TLS context.
 */
#include "sink/rabbitmq/connection.h"

#include "base/clock.h"
#include "sink/rabbitmq/errors.h"

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Enough for a burst of events; explicit, so that a socket that is ready for writing has room for
 * what the worker sends at once (serve.c). */
enum { SEND_BUFFER = 256 * 1024 };

static struct timeval timeval_of(int64_t us)
{
    us = us > US_PER_MS ? us : US_PER_MS;
    return (struct timeval){.tv_sec = us / US_PER_SECOND, .tv_usec = us % US_PER_SECOND};
}

/* --- TLS --- */

/* OpenSSL's verdict about the server's certificate, as it is found; X509_V_OK if it is good or was
 * never looked at. The context knows where it is. */
static int note_verdict(int good, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    int *verdict = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (!good && verdict) { /* NULL: long after the handshake */
        *verdict = X509_STORE_CTX_get_error(store);
    }
    return good;
}

static int bad_file(struct error *err, const char *key, const char *path, const char *what)
{
    char why[160] = "it holds none";
    unsigned long code = ERR_peek_last_error();
    if (code) {
        ERR_error_string_n(code, why, sizeof why);
    }
    return error_set(err, ERROR_CONFIG, "rabbitmq", "sink.tls.%s: %s gives no %s: %s", key, path,
                     what, why);
}

/* Whom to believe, and under which name. */
static int set_trust(SSL_CTX *ctx, const struct net_tls *tls, const char *name, int *verdict,
                     struct error *err)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
    unsigned char address[sizeof(struct in6_addr)];
    bool is_address =
        inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
    ERR_clear_error();
    if (*tls->ca_file ? SSL_CTX_load_verify_locations(ctx, tls->ca_file, NULL) != 1
                      : SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return bad_file(err, "ca_file", tls->ca_file, "certificate");
    }
    if (is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, name) != 1
                   : X509_VERIFY_PARAM_set1_host(param, name, 0) != 1) {
        return error_set(err, ERROR_CONFIG, "rabbitmq",
                         "sink.tls.server_name \"%s\" is no name that a certificate can have",
                         name);
    }
    SSL_CTX_set_app_data(ctx, verdict);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, note_verdict);
    return RESULT_DONE;
}

/* For a key that is encrypted: nobody is there to type its passphrase. OpenSSL would ask the
 * terminal. */
static int no_passphrase(char *out UNUSED, int size UNUSED, int writing UNUSED, void *ctx UNUSED)
{
    return -1;
}

static int set_up_tls(amqp_socket_t *socket, const struct net_tls *tls, const char *name,
                      int *verdict, struct error *err)
{
    SSL_CTX *ctx = amqp_ssl_socket_get_context(socket);
    amqp_ssl_socket_set_verify_peer(socket, tls->verify);
    amqp_ssl_socket_set_verify_hostname(socket, 0); /* set_trust does it */
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    ERR_clear_error();
    if (*tls->cert_file && SSL_CTX_use_certificate_chain_file(ctx, tls->cert_file) != 1) {
        return bad_file(err, "cert_file", tls->cert_file, "certificate");
    }
    if (*tls->key_file && SSL_CTX_use_PrivateKey_file(ctx, tls->key_file, SSL_FILETYPE_PEM) != 1) {
        return bad_file(err, "key_file", tls->key_file, "key that fits the certificate");
    }
    return tls->verify ? set_trust(ctx, tls, name, verdict, err) : RESULT_DONE;
}

static const char *remedy_of(int verdict)
{
    switch (verdict) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "connect by a name that is in it, or set sink.tls.server_name";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "renew it, or correct the clock";
    default:
        return "sink.tls.ca_file must hold the authority that signed it";
    }
}

static int not_believed(const struct rabbit_host *h, const char *name, int verdict,
                        struct error *err)
{
    error_set(err, ERROR_CONFIG, "rabbitmq",
              "%s: the server's certificate is not believed (expected name: %s): %s; %s", h->shown,
              name, X509_verify_cert_error_string(verdict), remedy_of(verdict));
    return error_code(err, "certificate");
}

/* --- the connection --- */

/* The socket belongs to the connection. */
static amqp_socket_t *new_socket(amqp_connection_state_t c, bool tls)
{
    return tls ? amqp_ssl_socket_new(c) : amqp_tcp_socket_new(c);
}

static int open_socket(const struct rabbit_conf *conf, bool tls, const struct rabbit_host *h,
                       amqp_connection_state_t c, struct error *err)
{
    int verdict = X509_V_OK;
    const char *name = *conf->net.tls.server_name ? conf->net.tls.server_name : h->name;
    amqp_socket_t *socket = new_socket(c, tls);
    if (!socket) {
        return rabbit_error_status(err, h, "connecting", AMQP_STATUS_NO_MEMORY);
    }
    if (tls && set_up_tls(socket, &conf->net.tls, name, &verdict, err)) {
        return RESULT_ERROR;
    }
    struct timeval timeout = timeval_of(conf->net.connect_timeout_us);
    int status = amqp_socket_open_noblock(socket, h->name, h->port, &timeout);
    if (tls) {
        SSL_CTX_set_app_data((SSL_CTX *)amqp_ssl_socket_get_context(socket), NULL);
    }
    if (verdict != X509_V_OK) {
        return not_believed(h, name, verdict, err);
    }
    if (status != AMQP_STATUS_OK) {
        return rabbit_error_status(err, h, "connecting", status);
    }
    int bytes = SEND_BUFFER;
    setsockopt(amqp_get_sockfd(c), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return RESULT_DONE;
}

static amqp_table_entry_t flag(const char *name)
{
    return (amqp_table_entry_t){amqp_cstring_bytes(name),
                                {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
}

static amqp_table_entry_t text(const char *name, const char *value)
{
    return (amqp_table_entry_t){
        amqp_cstring_bytes(name),
        {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

/* A broker tells of its alarms (connection.blocked) only those who say that they understand it. */
static int log_in(const struct rabbit_conf *conf, const struct rabbit_host *h, const char *pipeline,
                  amqp_connection_state_t c, struct error *err)
{
    char name[96];
    snprintf(name, sizeof name, "commitrelay %s", pipeline);
    amqp_table_entry_t can[] = {flag("connection.blocked"), flag("publisher_confirms"),
                                flag("basic.nack")};
    amqp_table_entry_t entries[] = {
        text("product", "commitrelay"),
        text("version", COMMITRELAY_VERSION),
        text("connection_name", name),
        {amqp_cstring_bytes("capabilities"),
         {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {sizeof can / sizeof *can, can}}}};
    amqp_table_t properties = {sizeof entries / sizeof *entries, entries};
    amqp_rpc_reply_t reply = amqp_login_with_properties(
        c, h->vhost, 0, RABBIT_FRAME_MAX, (int)(conf->heartbeat_us / US_PER_SECOND), &properties,
        AMQP_SASL_METHOD_PLAIN, h->user, h->password);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        return rabbit_error_reply(err, h, "logging in", reply);
    }
    amqp_channel_open(c, RABBIT_CHANNEL);
    reply = amqp_get_rpc_reply(c);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        return rabbit_error_reply(err, h, "opening a channel", reply);
    }
    return RESULT_DONE;
}

int rabbit_connect(const struct rabbit_conf *conf, bool tls, const struct rabbit_host *h,
                   const char *pipeline, amqp_connection_state_t *ret, struct error *err)
{
    int64_t until = clock_mono_us() + conf->net.connect_timeout_us;
    amqp_connection_state_t c = amqp_new_connection();
    if (!c) {
        return rabbit_error_status(err, h, "connecting", AMQP_STATUS_NO_MEMORY);
    }
    int rc = open_socket(conf, tls, h, c, err);
    struct timeval left = timeval_of(until - clock_mono_us());
    amqp_set_handshake_timeout(c, &left);
    amqp_set_rpc_timeout(c, &left);
    if (rc || log_in(conf, h, pipeline, c, err)) {
        amqp_destroy_connection(c);
        return RESULT_ERROR;
    }
    struct timeval of_requests = timeval_of(conf->net.connect_timeout_us);
    amqp_set_rpc_timeout(c, &of_requests);
    *ret = c;
    return RESULT_DONE;
}

int rabbit_exchange_exists(amqp_connection_state_t c, const struct rabbit_host *h,
                           const char *exchange, struct error *err)
{
    if (!*exchange) {
        return RESULT_DONE;
    }
    amqp_exchange_declare(c, RABBIT_CHANNEL, amqp_cstring_bytes(exchange),
                          amqp_cstring_bytes("direct"), 1, 0, 0, 0, amqp_empty_table);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(c);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        return rabbit_error_reply(err, h, "looking for the exchange", reply);
    }
    amqp_maybe_release_buffers(c);
    return RESULT_DONE;
}

bool rabbit_say_goodbye(amqp_connection_state_t c)
{
    struct timeval moment = timeval_of(US_PER_SECOND);
    return amqp_set_rpc_timeout(c, &moment) == AMQP_STATUS_OK &&
           amqp_connection_close(c, AMQP_REPLY_SUCCESS).reply_type == AMQP_RESPONSE_NORMAL;
}

void rabbit_throw_away(int fd)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    int rc UNUSED = setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void rabbit_hang_up(amqp_connection_state_t c, bool parted)
{
    if (!parted) {
        rabbit_throw_away(amqp_get_sockfd(c));
    }
    amqp_destroy_connection(c);
}
