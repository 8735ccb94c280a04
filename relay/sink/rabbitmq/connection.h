/*
 * Connects to a RabbitMQ server: TCP, TLS with verification, login, one channel. Used by the
 * sink's worker and by `check`. All functions may wait, at most connect_timeout each; any thread,
 * but each connection is one thread's.
 */
#pragma once

#include "sink/rabbitmq/conf.h"
#include <amqp.h>

enum { RABBIT_CHANNEL = 1, RABBIT_FRAME_MAX = 131072 };

/* Connects and opens the channel. The caller ends *ret with rabbit_hang_up. RETRY, or CONFIG for
 * what the operator has to correct: login, vhost, certificates. */
int rabbit_connect(const struct rabbit_conf *c, bool tls, const struct rabbit_host *h,
                   const char *pipeline, amqp_connection_state_t *ret,
                   struct error *err) MUST_CHECK;

/* CONFIG with exit code 78 if there is no such exchange; "" is there always. */
int rabbit_exchange_exists(amqp_connection_state_t c, const struct rabbit_host *h,
                           const char *exchange, struct error *err) MUST_CHECK;

/* Says goodbye if `politely`, which may wait for the answer for a second, and frees everything. */
void rabbit_hang_up(amqp_connection_state_t c, bool politely);
