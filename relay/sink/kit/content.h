/*
 * What a message says about its own content: the content type, and the attributes of a CloudEvent.
 *
 * `encode` makes a CloudEvent in binary mode in Kafka's form: headers such as "ce_id", and
 * "content-type". Sinks with properties of their own for that take them from the headers.
 *
 * Pure functions; any thread. Texts are static, or point into the event.
 */
#pragma once

#include "model/event.h"

#define CONTENT_CE "ce_" /* what the names of attributes begin with */

/* The type of the event's value: that of the header "content-type" if there is one, else what the
 * value is. Null for a tombstone. */
struct slice content_type(const struct event *e);

/* Whether a header of this name is the content type; in any case of letters. */
bool content_is_type(struct slice name);

/* Whether the headers are those of a CloudEvent in binary mode: no event has a "ce_specversion"
 * otherwise. content_is_attribute: whether a header of this name is one of its attributes. */
bool content_is_cloud_event(const struct header *headers, size_t n);
bool content_is_attribute(struct slice name);
