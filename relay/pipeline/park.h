/*
 * delivery.poison: park_key. An event that can never be delivered becomes a dead letter that parks
 * its key: later events of the key wait behind it, whole and in order, in the store. All other keys
 * flow. Example: 1 (key a) is poison, 2 (a) and 3 (b) follow. 1 becomes a dead letter, 2 is stored
 * behind it, 3 is sent. Once an operator retries or drops the dead letter, 2 is sent, and the key
 * is free.
 *
 * Three rules keep the order of a key, whatever is killed when:
 *   - A key is parked only while nothing before the poisoned event is undelivered or unsaved
 *     (park_may_begin). So no earlier event of the key can be put again behind it.
 *   - An event of a parked key settles only when it is durable in the store (park_tend).
 *   - What waits is sent only while nothing else is in hand, and removed from the store once the
 *     sink has acknowledged it; the key is free when nothing of it is left there (park_flow.c).
 *
 * Private to relay/pipeline, used by the pipeline's thread only; embedded in the pipeline.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/poll_set.h"
#include "pipeline/parked.h"
#include <stdbool.h>

struct pipeline;
struct batch;
struct event;
struct ledger_run;

/* Events that wait are sent in pages. A page has at most PARK_PAGE events, and about
 * PARK_PAGE_BYTES of payload. */
enum { PARK_PAGE = 1000, PARK_PAGE_BYTES = 1024 * 1024 };

enum park_flow_state {
    PARK_FLOW_IDLE,    /* nothing is in hand */
    PARK_FLOW_PUTTING, /* the page is loaded; some of it may be put */
    PARK_FLOW_SENT,    /* all of it is put */
    PARK_FLOW_OVER,    /* the first `count` are acknowledged, and not yet removed from the store */
    PARK_FLOW_REFUSED, /* the first cannot be delivered (`why`), and the store does not know yet */
};

/* Sends what waits of one key after the other. */
struct park_flow {
    enum park_flow_state state;
    /* The pipeline keeps still for this: nothing is read or put meanwhile. */
    bool holding;
    /* The page. Its memory stays until the sink was started again, or has reported all of it. */
    struct batch *batch;
    int64_t ids[PARK_PAGE];
    bool acked[PARK_PAGE];
    size_t count, put, acks;
    uint64_t token; /* of the first */
    bool copy;      /* the page is the copy of a refused event, for delivery.dead_letter_topic */
    /* The key in hand, and the number up to which nothing of it is left in the store. */
    struct buf key;
    int64_t after;
    /* After a suspicion this many events are sent one at a time. */
    size_t alone;
    int64_t tries; /* how often the first failed alone */
    struct error why;
    int64_t begun_us, rest_until_us; /* monotonic: between two pages others have their turn */
};

/* An event that waits to be stored. It is open in the ledger. */
struct park_pending {
    struct event *event;
    uint64_t token;
};

struct park {
    struct parked keys; /* of a replay: the ids of the events that wait, which it leaves out */
    int64_t waiting;    /* events that wait in the store; of a replay: that it has left out */
    size_t unsettled;   /* of those, how many are open in the ledger */
    /* The source may give some of them once more: they were stored, but the saved position is
     * before them. An event that is sent from the store meanwhile would be sent twice. */
    bool stale;
    uint64_t
        stale_until; /* until so many events are settled: then it has given all; 0: not known */
    struct park_pending *pending;
    size_t pending_count, pending_cap, pending_bytes;
    int64_t pending_since_us; /* monotonic */
    bool hurry; /* the first waiting event will park its key, once all before it is saved */
    bool full;  /* it finds no room (delivery.park), so the pipeline is blocked */
    struct park_flow flow;
};

/* --- park.c: the work --- */

/* Loads the parked keys from the store. Only while nothing is open. ERROR: the store failed. */
int park_load(struct pipeline *p, struct error *err) MUST_CHECK;

/* The first event of `run` must wait: takes it, and it counts as put. False: not now. */
bool park_take(struct pipeline *p, const struct ledger_run *run);

/* Stores what was taken, if that is due, some events at a time; they are settled then. ERROR: the
 * store failed; give it to failure_upstream. */
int park_tend(struct pipeline *p, struct error *err) MUST_CHECK;
/* Adds to `set` when that is due, and when the events of a released key are sent next. */
void park_poll(const struct pipeline *p, struct poll_set *set);

/* May the poisoned event park its key (park_wanted) now? False: not yet, or the pipeline is blocked
 * because too many keys are parked. */
bool park_may_begin(struct pipeline *p, const struct event *e);

/* Finds out whether the source has given all again that it may. */
void park_look_stale(struct pipeline *p);

/* --- park_flow.c: sends what waits of released keys --- */

/* As far as possible without waiting. ERROR: the store failed; give it to failure_upstream. */
int park_flow_step(struct pipeline *p, struct error *err) MUST_CHECK;

/* --- park_state.c: asks and tells --- */

void park_release(struct park *park); /* frees its memory */

/* Must the event wait, because its key is parked? */
bool park_holds(const struct pipeline *p, const struct event *e);
/* Will the poisoned event park its key? It has one, and the pipeline is told to. */
bool park_wanted(const struct pipeline *p, const struct event *e);
/* Its dead letter is stored. */
void park_begun(struct pipeline *p, const struct event *e, int64_t letter);
/* An event that was stored is settled. */
void park_settled(struct pipeline *p);
/* The open events wait again, also those that were taken and are not stored. */
void park_rewind(struct pipeline *p);
/* The dead letter was retried or dropped: what waits behind it is sent now. */
void park_letter_closed(struct pipeline *p, int64_t letter);
/* There is room again, or one key less. */
void park_unblock(struct pipeline *p);
/* Brings the figures of the metrics up to date. */
void park_count(struct pipeline *p);
/* Settled events have to be saved, and committed, soon. */
bool park_in_a_hurry(const struct pipeline *p);

bool park_flow_in_hand(const struct pipeline *p); /* a stop should wait for it */
/* There is something to send, and no reason not to. */
bool park_flow_left(const struct pipeline *p);
/* The sink has reported the token. False: it is none of the page. */
bool park_flow_reported(struct pipeline *p, uint64_t token, bool delivered,
                        const struct error *why);
/* The first of the page cannot be delivered. */
void park_flow_refuse(struct park_flow *f, const struct error *why);
/* The sink has failed, or starts anew: what it has not reported will be sent again. `all`: another
 * relay ran meanwhile, so what was reported is looked at again as well. */
void park_flow_look_again(struct pipeline *p, bool all);
