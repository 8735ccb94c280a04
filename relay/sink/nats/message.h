/*
 * Makes the NATS message of an event: its subject, its headers, and the value as its data.
 *
 * The header Nats-Msg-Id is the event's id: within the stream's duplicate_window the server itself
 * drops an event that is sent again. What must not be dropped is sent `apart`, with an id of its
 * own: the copy of a dead letter; a retried dead letter and a replay, once the server has said that
 * it knows the event's id. In the binary mode of CloudEvents the headers are named and
 * encoded as the NATS binding has them ("ce-type"). Any thread.
 */
#pragma once

#include "sink/kit/name.h"
#include <nats/nats.h>

struct nats_target {
    const struct name_template *subject;
    const char *expect_stream; /* "": any */
    int64_t max_payload;       /* of the server, in bytes: headers and data together */
    bool apart;                /* Nats-Msg-Id is event_sending_id, not the event's id */
};

/* The caller destroys *ret. reply: where the acknowledgement goes. POISON for a subject or header
 * that NATS cannot carry, for a header that would be an order to the server (Nats-*), and for a
 * message that is larger than max_payload, sent apart too. A null value becomes an empty one. */
int nats_message(const struct nats_target *to, const struct event *e, const char *reply,
                 natsMsg **ret, struct error *err) MUST_CHECK;
