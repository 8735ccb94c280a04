/*
 * What of an event goes into an AMQP 1.0 message, and how it is encoded.
 *
 * The value is a data section; a tombstone's is the null value. message-id is the event's id. The
 * application property _AMQ_DUPL_ID is that of its sending (event_sending_id): Artemis drops what
 * comes with one that it knows, and says that it has accepted it. group-id is the key, so that one
 * consumer gets all events of a key. CloudEvents in binary mode are as their AMQP binding has them:
 * application properties such as "cloudEvents_id".
 *
 * The pipeline's thread only.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "model/event.h"
#include <proton/message.h>

/* Memory in which one message is made after the other. */
struct amqp_maker {
    pn_message_t *message;
    struct buf text;
    pn_rwbytes_t out;
};

void amqp_maker_init(struct amqp_maker *m);
void amqp_maker_release(struct amqp_maker *m);

/* The event as a message for the address. *ret lies in the maker until the next call. POISON for
 * what AMQP cannot carry, and for headers that would be orders to the broker (_AMQ_*, AMQ_*). */
int amqp_message_make(struct amqp_maker *m, const char *address, bool durable,
                      const struct event *e, struct slice *ret, struct error *err) MUST_CHECK;
