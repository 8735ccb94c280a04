/*
 * Snapshots that were asked for while the stream goes on: which tables, by which predicate, and how
 * far each is. They are read one after the other, in the order in which they were asked for.
 *
 * The request comes through the stream (cdc/signal.h) and is kept in the cursor, so neither is lost
 * without the other: a cursor behind the transaction that asked has the request, and one before it
 * gets the transaction again.
 *
 * Example, the word `snapshot` of a cursor with one request that was begun, one that waits, and no
 * initial snapshot:
 *   ";public%2Eorders|a1|total%20%3E%209|s1,0/1A2B,17,3,bare,@16390-0.23,public.orders,id=12"
 *   ";public%2Eitems|a2||s1,0/1A2C,17,0,bare"
 * In general (one line): "[<state of the initial snapshot>][;paused][;<tables>|<id>|<where>|
 * <place>]...". A place is a state as state.h writes it.
 *
 * The pipeline's thread only; the functions of one request: any thread that may read it.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The text stands in the cursor of each row, so it has to stay short. */
enum { SNAPSHOT_REQUESTS_MAX = 100, SNAPSHOT_REQUESTS_BYTES = 16 << 10 };

/* Strings are its own. */
struct snapshot_request {
    char *tables;    /* "schema.table", or a pattern of it */
    char *id;        /* of the signal; "": none was given */
    char *where;     /* SQL, a condition of the rows; "": all */
    char *place;     /* how far it is */
    uint64_t number; /* tells it from all others of this list, also from those that were dropped */
};

/* All zero is the empty list. */
struct snapshot_requests {
    struct snapshot_request items[SNAPSHOT_REQUESTS_MAX];
    size_t count;
    uint64_t numbers; /* given so far */
    bool paused;      /* none is read until it is resumed; false where there is none */
};

/* Empties the list. */
void snapshot_requests_release(struct snapshot_requests *q);

/* Adds a request, copied, that nothing was read of. `lsn` becomes part of the identity of its rows,
 * `asked_us` (wall clock) their time. False: the list is full, or its text would become longer than
 * SNAPSHOT_REQUESTS_BYTES (a place and the largest key not counted). */
bool snapshot_requests_add(struct snapshot_requests *q, struct slice tables, struct slice id,
                           struct slice where, uint64_t lsn, int64_t asked_us) MUST_CHECK;
void snapshot_requests_drop(struct snapshot_requests *q, size_t i);
/* Sets how far request `i` is (copied). */
void snapshot_requests_reached(struct snapshot_requests *q, size_t i, struct slice place);

/* Appends the text of the list to `out`, behind the state of the initial snapshot, if there is one.
 * Nothing for an empty list. */
void snapshot_requests_format(const struct snapshot_requests *q, struct buf *out);
/* Reads the cursor's text into *ret, which is emptied before. *ret_initial is the state of the
 * initial snapshot, in `text`; null: there is none. FATAL/69: a newer version wrote it. */
int snapshot_requests_parse(struct slice text, struct snapshot_requests *ret,
                            struct slice *ret_initial, struct error *err) MUST_CHECK;

struct pattern;

/* Compiles request.tables, if that is no plain name; else *ret is NULL. The caller frees it.
 * CONFIG: it is no pattern. */
int snapshot_request_pattern(const struct snapshot_request *r, struct pattern **ret,
                             struct error *err) MUST_CHECK;
/* Does the request want this table? `pattern` as above. CONFIG: the pattern cannot be matched. */
int snapshot_request_names(const struct snapshot_request *r, struct pattern *pattern,
                           struct slice schema, struct slice name, bool *ret,
                           struct error *err) MUST_CHECK;
