/*
 * Events that wait to be sent. Each stands in a lane, which its key decides. Of a lane there is one
 * request at a time, so that the events of a key arrive in order; other lanes go on meanwhile.
 * Example with two requests at a time and the events a1 a2 b1: a1 and b1 are sent, a2 waits for the
 * answer to a1 although b1 has long been answered.
 *
 * Lanes are found by a hash of the key. Two keys of one lane wait for each other, which costs a
 * little time and no order; a key never changes its lane. An event without a key has no order to
 * keep and takes any lane.
 *
 * The pipeline's thread only. Nothing fails; memory running out aborts.
 */
#pragma once

#include "model/event.h"

enum { HTTP_LANES = 4096 };
#define HTTP_NONE UINT32_MAX

struct http_entry {
    const struct event *event; /* borrowed until its token is reported */
    uint64_t token;
    int64_t put_us;
    uint32_t next; /* in its lane, or in the list of free ones */
    uint16_t lane;
    bool used;
    bool alone; /* it was in a batch that was refused: it goes in a request of its own */
};

struct http_queue {
    struct http_entry *entries;
    size_t cap, count; /* count: used ones, waiting or in a request */
    size_t waiting, waiting_bytes;
    uint32_t free;
    struct http_lane {
        uint32_t first, last; /* entries that wait */
        uint32_t next;        /* in the list of ready lanes */
        bool ready, busy;     /* busy: some of its events are in a request */
    } * lanes;
    uint32_t ready_first, ready_last; /* lanes with waiting events and no request */
    uint64_t limit; /* only events with smaller tokens are taken; UINT64_MAX: all */
};

/* cap: most entries at a time. The caller releases it. */
void http_queue_init(struct http_queue *q, size_t cap);
void http_queue_release(struct http_queue *q);

/* Forgets everything. */
void http_queue_reset(struct http_queue *q);

/* Adds an event at the end of its lane. False if there is no room. */
bool http_queue_add(struct http_queue *q, const struct event *e, uint64_t token, int64_t now_us);

/* The entry that would be taken first, HTTP_NONE if there is none. */
uint32_t http_queue_next(const struct http_queue *q);

/* Asked for each further entry of a request: may it go with those that were taken? */
typedef bool http_queue_fits(void *ctx, const struct http_entry *e);

/* Takes entries for one request: the next one in any case, then, up to `most` of them, others that
 * fit, the next of each lane only if those before it were taken. Their lanes are busy then. Returns
 * how many; `out` has room for `most`. */
size_t http_queue_take(struct http_queue *q, uint32_t *out, size_t most, http_queue_fits *fits,
                       void *ctx);

/* Puts the entries of a request back to the front of their lanes, in the order in which they were
 * taken, and frees the lanes. `alone`: each goes in a request of its own from now on. */
void http_queue_give_back(struct http_queue *q, const uint32_t *entries, size_t count, bool alone);

/* The entries were answered: removes them and frees their lanes. */
void http_queue_done(struct http_queue *q, const uint32_t *entries, size_t count);

/* The smallest token of all entries, UINT64_MAX if there is none. Looks at all of them. */
uint64_t http_queue_oldest(const struct http_queue *q);
