/*
 * TLS for the connections of the sink amqp, by OpenSSL, with the certificate and its name verified.
 * The pipeline's thread only; nothing waits.
 */
#pragma once

#include "sink/kit/server.h"
#include <openssl/ssl.h>

/* Reads the files of sink.tls. The caller frees *ret with SSL_CTX_free. CONFIG. */
int amqp_tls_context(const struct net_tls *tls, SSL_CTX **ret, struct error *err) MUST_CHECK;

/* TLS over a connected socket, which stays the caller's, before the handshake. The caller frees
 * *ret with SSL_free. CONFIG for a name that no certificate can have. */
int amqp_tls_new(SSL_CTX *context, const struct net_tls *tls, const struct net_server *server,
                 int fd, SSL **ret, struct error *err) MUST_CHECK;

/* Why a call of OpenSSL has failed just now on this thread, with `rc` as its answer. CONFIG for a
 * certificate that is not believed, or a server that wants one of ours; else RETRY. Always returns
 * RESULT_ERROR. */
int amqp_tls_error(const SSL *ssl, int rc, int cause, const struct net_tls *tls,
                   const struct net_server *server, struct error *err);
