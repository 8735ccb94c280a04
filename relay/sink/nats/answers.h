/*
 * What the answers of JetStream to a message mean for the relay. Any thread.
 */
#pragma once

#include "base/error.h"
#include "base/slice.h"
#include <nats/nats.h>

/* Whether the answer is a PubAck: the stream has stored the message. *ret_known: it has stored
 * another one with the same Nats-Msg-Id before, and dropped this one. */
bool nats_is_ack(const natsMsg *answer, bool *ret_known);

/* The code of the error that no stream takes the subject. */
#define NATS_NO_STREAM "no responders"

/* What any other answer means; subject: where the message was sent. Fills *err:
 *   POISON  the stream refuses this message (its size)
 *   BUSY    the stream is full, or the server asks to slow down
 *   CONFIG  no stream takes the subject, or its stream has no leader now (NATS_NO_STREAM; nats.c
 *           tries that again for a while); another stream than the expected one; no JetStream
 *   RETRY   all that is not known
 * Always returns RESULT_ERROR. */
int nats_refusal(const natsMsg *answer, const char *subject, struct error *err);
