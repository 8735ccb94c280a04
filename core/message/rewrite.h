/*
 * Gives topics another name by a regular expression (route.topic_rewrite), as Kafka Connect's
 * RegexRouter and Debezium's ByLogicalTableRouter do. Example: match "(.*)_\d+" and to "$1" send
 * shop.public.orders_07 to shop.public.orders.
 *
 * It remembers the last topic, so one thread at a time may use it.
 */
#pragma once

#include "base/error.h"
#include "model/event.h"

struct rewrite;

/* Compiles it; the texts are copied. rewrite_free frees it. `key_field`: the member that a key gets
 * (rewrite_event); "" or NULL: none. CONFIG: `match` is no regular expression, or `to` does not
 * fit.
 */
int rewrite_new(const char *match, const char *to, const char *key_field, struct rewrite **ret,
                struct error *err) MUST_CHECK;
void rewrite_free(struct rewrite *r); /* NULL is fine */

/* Puts the new name into *topic, in `arena`, if the whole topic matches and the new name is not
 * empty; else *topic stays. POISON: the expression takes too many steps. */
int rewrite_topic(struct rewrite *r, struct slice *topic, struct arena *arena,
                  struct error *err) MUST_CHECK;

/* The same for the topic of an event. With `key` a new name also adds the member key_field, with
 * the old name, to the event's key, if that is a JSON object. POISON also: the old name is not
 * UTF-8. */
int rewrite_event(struct rewrite *r, struct event *e, bool key, struct arena *arena,
                  struct error *err) MUST_CHECK;
