/*
 * What librabbitmq's status codes and the broker's exceptions mean for the relay: what has failed,
 * and what people can do about it. Pure functions; any thread. Those
 * that return int return RESULT_ERROR.
 */
#pragma once

#include "base/error.h"
#include "sink/rabbitmq/conf.h"
#include <amqp.h>

/* A call of the library has failed with this status: RETRY. `doing` says what it was, such as
 * "publishing". */
int rabbit_error_status(struct error *err, const struct rabbit_host *h, const char *doing,
                        int status);

/* The broker has closed the channel or the connection with this code and text. */
int rabbit_error_closed(struct error *err, const struct rabbit_host *h, int code,
                        amqp_bytes_t text);

/* The answer to a request that was not what it should be. */
int rabbit_error_reply(struct error *err, const struct rabbit_host *h, const char *doing,
                       amqp_rpc_reply_t reply);

/* No queue takes a message with these names: POISON. */
int rabbit_error_no_route(struct error *err, struct slice exchange, struct slice routing_key);

/* The broker has said connection.blocked: BUSY. */
int rabbit_error_blocked(struct error *err, const struct rabbit_host *h, const char *why);

/* The size in "message size 600 is larger than configured max size 500", with which the broker
 * closes the channel; 0 for any other text. */
uint64_t rabbit_refused_size(int code, amqp_bytes_t text);

/* The exchange in "no exchange 'orders' in vhost '/'", with which the broker closes the channel; a
 * null slice for any other text. It lies in `text`. */
struct slice rabbit_missing_exchange(int code, amqp_bytes_t text);
