/*
 * What librdkafka's error codes mean for the relay: whose fault it is, and what to tell people.
 * Pure functions.
 */
#pragma once

#include "base/error.h"
#include <librdkafka/rdkafka.h>

enum kafka_scope {
    KAFKA_EVENT,     /* this message failed (RETRY or POISON, as kafka_error says) */
    KAFKA_SINK,      /* the whole sink: another message would fare no better */
    KAFKA_AFTERMATH, /* only follows from another failure that is reported by itself */
};

enum kafka_scope kafka_scope_of(rd_kafka_resp_err_t code);

/* True for what no waiting mends: the broker or we refuse the other's credentials or certificate.
 */
bool kafka_is_security(rd_kafka_resp_err_t code);

/* Fills *err with class, code, and a text naming topic, cause and remedy. `addressed`: a message's
 * error, and its event gave the number of its partition. `topic` may be NULL. Returns -1. */
int kafka_error(struct error *err, rd_kafka_resp_err_t code, bool addressed, const char *topic,
                const char *detail);
