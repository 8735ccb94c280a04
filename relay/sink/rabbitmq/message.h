/*
 * What of an event goes into an AMQP message: routing key, properties and headers. The owner makes
 * an entry when the event is put; the worker makes the message from it. Entries point into the
 * event's batch.
 */
#pragma once

#include "base/buf.h"
#include "sink/kit/name.h"
#include <amqp.h>
#include <amqp_framing.h>

/* An event that was put, until it is reported. */
struct rabbit_entry {
    uint64_t token;
    struct slice exchange, routing_key;
    struct slice id, type, content_type, value;
    const struct header *headers;
    size_t headers_count;
    int64_t created_at_us;
    size_t head_bytes; /* of the frame with the properties */
    char *own;         /* exchange and routing key, where they are no part of the event */
};

/* The templates, with scratch memory; the owner's thread. */
struct rabbit_naming {
    struct name_template *exchange, *routing_key;
    struct buf scratch[2];
};

/* Fills the entry from the event. POISON for what AMQP cannot carry: names, id or type of more than
 * 255 bytes, properties that do not fit into a frame of frame_max bytes, names that are no text.
 * `own` is freed by rabbit_entry_clear. */
int rabbit_entry_make(struct rabbit_naming *n, const struct event *e, size_t frame_max,
                      struct rabbit_entry *ret, struct error *err) MUST_CHECK;
void rabbit_entry_clear(struct rabbit_entry *e);

/* Memory in which the worker makes the headers of one message after the other. */
struct rabbit_scratch {
    amqp_table_entry_t *entries;
    size_t cap;
    struct buf names;
};

/* The properties of the message; they point into the entry and the scratch memory. */
amqp_basic_properties_t rabbit_properties(const struct rabbit_entry *e, bool persistent,
                                          struct rabbit_scratch *s);
void rabbit_scratch_release(struct rabbit_scratch *s);
