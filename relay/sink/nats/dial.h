/*
 * How a connection to NATS is made: libnats' options from the configuration, and what its failures
 * mean. Any thread.
 */
#pragma once

#include "sink/nats/conf.h"
#include <nats/nats.h>

/* Options for a connection that does not connect again by itself: the pipeline decides when. Reads
 * the certificate files. The caller destroys *ret. CONFIG. */
int nats_dial_options(const struct nats_conf *c, const struct nats_servers *servers,
                      const char *pipeline, natsOptions **ret, struct error *err) MUST_CHECK;

/* Fills *err for a natsConnection_Connect that failed just now on this thread. `where`: the
 * servers, for people. CONFIG/77 for a login, CONFIG for a certificate or a mixture of TLS and
 * none, else RETRY. Always returns RESULT_ERROR. */
int nats_dial_error(natsStatus s, const char *where, struct error *err);

/* Fills *err for what the server says about permissions, such as `Permissions Violation for Publish
 * to "orders"`. CONFIG/77. Always returns RESULT_ERROR. */
int nats_denied(const char *text, const char *where, struct error *err);
