/*
 * One event on its way through a consumer: what was received, what it means for a table, and what
 * became of it.
 *
 * A record is on the heap and owns its texts. It is made by the consumer's own thread, belongs to a
 * lane while that applies it, and is freed by the consumer's thread once its stream has passed it.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct stream;

/* An event as a source hands it over. All texts are borrowed for the call. */
struct incoming {
    const char *stream; /* where it comes from, for progress: "orders/3", or a folder's pipeline */
    int64_t number;     /* its place there: each is greater than the one before */
    struct slice topic; /* null: not known; the line says it */
    struct slice key;   /* of the message; null: none */
    struct slice value; /* null: a tombstone */
    struct slice line;  /* the value stands in a line as batch files have it; else null */
    struct slice id;    /* the header `id`; null: none */
    struct slice type;  /* the header `type`; null: none */
    struct slice headers; /* all headers as a JSON object; null: none */
};

/* What the event does to a table. */
enum record_op { RECORD_NOTHING, RECORD_UPSERT, RECORD_DELETE, RECORD_TRUNCATE };

struct record {
    struct slice id;       /* never null: made of its place if the event has none */
    struct slice line;     /* one JSON object in one line: what `call` and `exec` get */
    struct slice received; /* what came: the line, or the value from which the line was made; null:
                              a tombstone */
    struct slice key;      /* null: none */
    struct slice row;      /* JSON object: the row, or of a delete its key; null: see key */
    struct slice old_key;  /* JSON object: the key that the row had before; else null */
    struct slice position; /* the event's place in its source's history; null: not known */
    enum record_op op;
    bool partial; /* an update whose row lacks values that the server did not send */
    bool alone;   /* nothing else may be applied at the same time: it concerns several keys */
    struct slice digest; /* of its dead letter (apply/letter.h); null: to be made */
    char fault[256];     /* why it can never be applied; "": nothing is known against it */

    struct stream *stream;
    const char *origin; /* the stream's name; the stream outlives the record */
    int64_t number;
    uint64_t order; /* hash of topic and key (no key: of topic and stream): equal ones are applied
                       in order */
    unsigned tries; /* failed ones, alone */
    bool done;
    bool step_back; /* it was applied behind a later one of its key */
    struct record *next_of_stream, *next_of_lane;
    size_t bytes;      /* of memory, about */
    struct buf memory; /* the texts as received */
    struct buf made;   /* a line that was made here */
    struct buf plain;  /* a row that stood in a string */
};

void record_free(struct record *r); /* NULL is fine */
/* Notes why the event cannot be applied. The first fault stays. */
void record_fault(struct record *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
