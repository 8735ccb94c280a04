/*
 * What the conditions and outcomes of AMQP 1.0 mean for the relay: what has failed, and what people
 * can do about it. `server` is host:port, for people. Pure functions; the pipeline's thread. Those
 * that return int return RESULT_ERROR.
 */
#pragma once

#include "base/error.h"
#include <proton/condition.h>
#include <proton/delivery.h>

/* The connection or its session has ended. `condition` may be unset. RETRY; CONFIG for a login
 * (77), for a server that does not speak AMQP 1.0, and for one that sends the relay to another. */
int amqp_error_connection(struct error *err, const char *server, pn_condition_t *condition);

/* The server could not look whether the login is right. RETRY. */
int amqp_error_login_later(struct error *err, const char *server);

/* A link to the address was refused, or has ended. RETRY, BUSY or CONFIG. */
int amqp_error_link(struct error *err, const char *server, const char *address,
                    pn_condition_t *condition);

/* Whether the condition, of a link or of a message, says that there is no such address. */
bool amqp_is_not_found(pn_condition_t *condition);

/* The server's verdict about a message. AMQP_ACCEPTED; AMQP_OPEN: none yet; AMQP_REFUSED, with *err
 * filled: POISON (this message is refused), BUSY (the address is full), CONFIG or RETRY. */
enum amqp_verdict { AMQP_OPEN, AMQP_ACCEPTED, AMQP_REFUSED };
enum amqp_verdict amqp_verdict_of(pn_delivery_t *d, const char *server, const char *address,
                                  struct error *err);
