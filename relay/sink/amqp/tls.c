/*
 * Sets OpenSSL up, and says why a handshake has failed (tls.h).
 */
#include "sink/amqp/tls.h"

#include "base/memory.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static int bad_file(struct error *err, const char *key, const char *path, const char *what)
{
    char why[160] = "it holds none";
    unsigned long code = ERR_peek_last_error();
    if (code) {
        ERR_error_string_n(code, why, sizeof why);
    }
    return error_set(err, ERROR_CONFIG, "amqp", "sink.tls.%s: %s gives no %s: %s", key,
                     *path ? path : "the system", what, why);
}

/* For a key that is encrypted: nobody is there to type its passphrase. OpenSSL would ask the
 * terminal. */
static int no_passphrase(char *out UNUSED, int size UNUSED, int writing UNUSED, void *ctx UNUSED)
{
    return -1;
}

static int fill(SSL_CTX *context, const struct net_tls *tls, struct error *err)
{
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_verify(context, tls->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (*tls->ca_file ? SSL_CTX_load_verify_locations(context, tls->ca_file, NULL) != 1
                      : SSL_CTX_set_default_verify_paths(context) != 1) {
        return bad_file(err, "ca_file", tls->ca_file, "certificate");
    }
    if (*tls->cert_file && SSL_CTX_use_certificate_chain_file(context, tls->cert_file) != 1) {
        return bad_file(err, "cert_file", tls->cert_file, "certificate");
    }
    if (*tls->key_file &&
        SSL_CTX_use_PrivateKey_file(context, tls->key_file, SSL_FILETYPE_PEM) != 1) {
        return bad_file(err, "key_file", tls->key_file, "key that fits the certificate");
    }
    return RESULT_DONE;
}

int amqp_tls_context(const struct net_tls *tls, SSL_CTX **ret, struct error *err)
{
    ERR_clear_error();
    SSL_CTX *context = memory_need(SSL_CTX_new(TLS_client_method()));
    if (fill(context, tls, err)) {
        SSL_CTX_free(context);
        return RESULT_ERROR;
    }
    *ret = context;
    return RESULT_DONE;
}

static const char *expected(const struct net_tls *tls, const struct net_server *server)
{
    return *tls->server_name ? tls->server_name : server->name;
}

/* A certificate has IP addresses and host names in different fields. Only a host name is told to
 * the server (SNI). */
static bool set_name(SSL *ssl, const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    }
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

int amqp_tls_new(SSL_CTX *context, const struct net_tls *tls, const struct net_server *server,
                 int fd, SSL **ret, struct error *err)
{
    SSL *ssl = memory_need(SSL_new(context));
    const char *name = expected(tls, server);
    if (!set_name(ssl, name)) {
        SSL_free(ssl);
        return error_set(err, ERROR_CONFIG, "amqp",
                         "sink.tls.server_name \"%s\" is no name that a certificate can have",
                         name);
    }
    memory_need(SSL_set_fd(ssl, fd) == 1 ? ssl : NULL);
    SSL_set_connect_state(ssl);
    *ret = ssl;
    return RESULT_DONE;
}

static const char *remedy_of(long verdict)
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

/* Alerts by which a server says that it does not take our certificate. */
static bool wants_ours(unsigned long code)
{
    switch (ERR_GET_REASON(code)) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return ERR_GET_LIB(code) == ERR_LIB_SSL;
    default:
        return false;
    }
}

int amqp_tls_error(const SSL *ssl, int rc, int cause, const struct net_tls *tls,
                   const struct net_server *server, struct error *err)
{
    char why[160];
    long verdict = SSL_get_verify_result(ssl);
    unsigned long code = ERR_peek_last_error();
    int kind = SSL_get_error(ssl, rc);
    ERR_clear_error();
    if (tls->verify && verdict != X509_V_OK) {
        error_set(err, ERROR_CONFIG, "amqp",
                  "%s: the server's certificate is not believed (expected name: %s): %s; %s",
                  server->shown, expected(tls, server), X509_verify_cert_error_string(verdict),
                  remedy_of(verdict));
        return error_code(err, "certificate");
    }
    if (kind == SSL_ERROR_ZERO_RETURN || (kind == SSL_ERROR_SYSCALL && !code)) {
        return error_set(
            err, ERROR_RETRY, "amqp", "%s: the connection has ended: %s", server->shown,
            cause && kind == SSL_ERROR_SYSCALL ? strerror(cause) : "the server has closed it");
    }
    ERR_error_string_n(code, why, sizeof why);
    if (wants_ours(code)) {
        error_set(err, ERROR_CONFIG, "amqp",
                  "%s: the server does not take the relay's certificate: %s; set "
                  "sink.tls.cert_file and sink.tls.key_file to one that it trusts",
                  server->shown, why);
        return error_code(err, "certificate");
    }
    return error_set(err, ERROR_RETRY, "amqp",
                     "%s: TLS has failed: %s; does the server speak TLS on this port?",
                     server->shown, why);
}
