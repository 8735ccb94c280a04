/*
 * What librdkafka's error codes mean for the relay: what has failed, and what people can do about
 * it. Pure functions; any thread.
 */
#pragma once

#include "base/error.h"
#include <librdkafka/rdkafka.h>

enum kafka_scope {
    KAFKA_EVENT,     /* this message failed (RETRY or POISON, as kafka_error says) */
    KAFKA_SINK,      /* the sink: any other message would fail too */
    KAFKA_AFTERMATH, /* only a consequence of a failure that is reported itself */
};

/* A code without a rule of its own counts as KAFKA_EVENT. */
enum kafka_scope kafka_scope_of(rd_kafka_resp_err_t code);

/* True for errors that do not pass by waiting: broker or relay refuses the other's credentials or
 * certificate. */
bool kafka_is_security(rd_kafka_resp_err_t code);

/* True for the codes with which a broker refuses a producer because another one with its
 * transactional.id was initialised after it, or because the transaction timed out. */
bool kafka_is_fenced(rd_kafka_resp_err_t code);

/* Fills *err with class, code, and a text that names topic, cause and remedy. `addressed`: the
 * error is a message's, and its event gave the partition number; an unknown partition is then
 * POISON. `topic` and `detail` may be NULL. Always returns -1. */
int kafka_error(struct error *err, rd_kafka_resp_err_t code, bool addressed, const char *topic,
                const char *detail);
