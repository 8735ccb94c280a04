/*
 * What a source reads and a sink sends: one committed event, and the batch that owns its memory.
 *
 * All slices of an event point into its batch's arena, or into a source's buffer that lives as long
 * as the batch, and are valid until the batch is reset or freed. A null slice is SQL null.
 *
 * Plain structs, used by one thread: the pipeline's, or that of a command which reads events. A
 * sink may let its library's threads read the bytes of an event until it has reported what became
 * of it. Functions that allocate abort when memory runs out; nothing here fails.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
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
    /* Filled in by the source. */
    struct slice id, type, aggregatetype, aggregateid;
    struct slice payload;
    struct slice headers;    /* the headers column: the text of a JSON object, or null */
    struct slice created_at; /* as the source printed it, for texts that no clock can hold
                                (infinity); may be null */
    int64_t created_at_us;   /* wall clock; TIME_NONE when unknown */
    struct slice position;   /* the event's place, for people: short, stable, printable */
    struct slice row_key;    /* what `ack` marks or deletes by; null where the source needs none */
    const struct slice *columns; /* values of source_env.columns, in that order; NULL without any */
    const struct change *change; /* CDC: what encode makes payload, key and type from; NULL for an
                                    outbox event */
    const void *origin;          /* private to the source: what its cursor text is made from, in the
                                    arena; NULL where `position` says enough */
    enum payload_kind payload_kind;
    const char *poison; /* not NULL: why this event can never be delivered; found by the source (in
                           the arena or static) */
    bool partial;   /* it is poison and has only some of its row, because the row was too large or
                       could not be read. So its dead letter does not replace the row. */
    bool of_change; /* made of a table change; set by encode_change, when `change` is gone too */
    bool parked;    /* it is not sent now: it waits in the store behind a dead letter of its key */
    struct slice again; /* not null: it is sent on purpose where it may have been before, and this
                           text tells it from each other sending: the copy of a dead letter, a dead
                           letter that is retried, a replay. Set by the pipeline. */
    bool copy;          /* it has become the copy of a dead letter, for the dead letter topic */
    bool unencoded; /* it is poison because no message could be made of its change: no payload */
    bool ends_transaction; /* it is the last event of its transaction in the database; set by a
                              source with SOURCE_TRANSACTIONS as far as it knows */
    size_t bytes; /* how much it counts in max_in_flight_bytes: about the memory that it takes */

    /* Filled in by route and encode. */
    struct slice topic, key, value; /* the message; a null value is a tombstone */
    const struct header *out_headers;
    size_t out_headers_count;
    int32_t partition;    /* Kafka's; -1: the sink chooses */
    int64_t timestamp_us; /* wall clock, of the message; TIME_NONE: when it is sent */
};

/* Events that were read together, and the memory they point to. One owner at a time: the ledger
 * takes it over with ledger_admit. */
struct batch {
    struct arena arena;
    struct event *events; /* malloc'ed: reused with the batch */
    size_t count, cap;
    size_t bytes;         /* sum of events[].bytes */
    bool after_end;       /* the last event before this batch has ended its transaction */
    struct slice context; /* private to the source: what all its events' cursors share */
    void *resource; /* a source's buffer that slices point into, such as a PGresult, or NULL */
    void (*release_resource)(void *resource); /* frees it; NULL: there is none */
    struct batch *next;                       /* link for the owner's list */
};

/* The value of a headers column, borrowed: a null slice for the JSON text null, which some
 * libraries write for no headers, else the column as it is. Any thread. */
struct slice event_headers(struct slice column);

/* Appends the id of this sending of the event: its own id, or where `again` is set "<id>:<again>".
 * A server that drops what comes with an id that it knows drops repetitions then, and nothing else.
 * Any thread. */
void event_sending_id(const struct event *e, struct buf *out);

/* An empty batch; the caller frees it. Never NULL. */
struct batch *batch_new(void);
void batch_free(struct batch *b); /* with all that its events point to; NULL is fine */

/* Empties it for the next read: frees what its events point to and keeps the array of events. */
void batch_reset(struct batch *b);

/* Adds an event at the end and returns it. All of it is 0, but created_at_us and timestamp_us are
 * TIME_NONE and partition is -1. The pointer is valid until the next batch_add, which may move the
 * array. */
struct event *batch_add(struct batch *b);
