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

/* Says goodbye. False: no answer within a second. It hangs while the socket takes nothing. */
bool rabbit_say_goodbye(amqp_connection_state_t c);

/* Frees everything. parted: the broker has answered the goodbye. Else what was not sent yet is
 * thrown away: it must not arrive behind what another connection sends. */
void rabbit_hang_up(amqp_connection_state_t c, bool parted);

/* What the kernel has not sent yet is thrown away when this socket is closed. */
void rabbit_throw_away(int fd);
