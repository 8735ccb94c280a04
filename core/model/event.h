/*
 * What a source reads and a sink sends: one committed event, and the batch that owns its memory.
 *
 * All slices of an event point into its batch's arena (or into a source buffer that lives as long
 * as the batch) and die with it. A null slice is SQL null. Plain values, owned by the pipeline's
 * thread.
 */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

enum payload_kind {
    PAYLOAD_JSON,  /* the column is json or jsonb: embedded as it is */
    PAYLOAD_TEXT,  /* any other type, as text */
    PAYLOAD_BYTES, /* bytea or blob: raw bytes */
};

struct change; /* change.h */

struct header {
    struct slice name, value; /* value may be null */
};

struct event {
    /* From the source. */
    struct slice id, type, aggregatetype, aggregateid;
    struct slice payload;
    struct slice headers;    /* the headers column: a JSON object's text, or null */
    struct slice created_at; /* as the source printed it, for texts that no clock can hold
                                (infinity); may be null */
    int64_t created_at_us;   /* wall clock; TIME_NONE when unknown */
    struct slice position;   /* the event position: short, stable, printable */
    struct slice row_key;    /* what `ack` marks or deletes by; null where the source needs none */
    const struct slice *columns; /* values of source_env.columns, in that order; NULL without any */
    const struct change *change; /* CDC: what encode makes payload, key and type from; NULL for an
                                    outbox event */
    const void *origin;          /* private to the source: what its cursor text is made from, in the
                                    arena; NULL where `position` says enough */
    enum payload_kind payload_kind;
    const char *poison; /* not NULL: why this event can never be delivered; found by the source (in
                           the arena or static) */
    bool partial;   /* it is poison and does not hold all of its row, which was too large to be read
                       or could not be: a dead letter of it is no substitute for the row */
    bool of_change; /* made of a table change; set by encode_change, when `change` is gone too */
    bool unencoded; /* it is poison because no message could be made of its change: no payload */
    size_t bytes;   /* how much it counts in max_in_flight_bytes: about what it holds in memory */

    /* From route and encode. */
    struct slice topic, key, value; /* value null = tombstone */
    const struct header *out_headers;
    size_t out_headers_count;
    int32_t partition;    /* -1: the sink chooses */
    int64_t timestamp_us; /* the message's own; TIME_NONE = now */
};

struct batch {
    struct arena arena;
    struct event *events; /* malloc'ed: reused with the batch */
    size_t count, cap;
    size_t bytes;         /* sum of events[].bytes */
    struct slice context; /* private to the source: what all its events' cursors share */
    void *resource;       /* a source buffer the slices point into; freed by release_resource */
    void (*release_resource)(void *resource);
    struct batch *next; /* link for the owner's list */
};

/* What a headers column means: JSON null, which some libraries write for no headers, is null. */
struct slice event_headers(struct slice column);

struct batch *batch_new(void); /* aborts when memory runs out */
void batch_free(struct batch *b);
void batch_reset(struct batch *b); /* empties it and frees what its events pointed to */

/* A cleared event at the end; valid until the next batch_add. created_at_us and timestamp_us are
 * TIME_NONE, partition -1. */
struct event *batch_add(struct batch *b);
