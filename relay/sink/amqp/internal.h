/*
 * The state of the sink amqp, shared by the files that make it up:
 *   amqp.c      the operations
 *   flow.c      events out, answers in
 *   link.c      a connection to one of the servers (senders.c: its addresses; wire.c, tls.c: bytes)
 *   message.c   an event as a message
 *   check.c     `check --connect`
 *
 * Private to these files. All of it is used by the pipeline's thread only.
 */
#pragma once

#include "sink/amqp/link.h"
#include "sink/amqp/message.h"
#include "sink/kit/lanes.h"
#include "sink/kit/name.h"

/* From here on a server that gives no credit, or no answer, is slow. */
#define AMQP_SLOW_US (2 * US_PER_SECOND)

/* A message that was put and not sent: what `lanes` holds. */
struct amqp_message {
    struct amqp_sender *to;
    size_t len;
    char bytes[];
};

/* Tokens, oldest first; at..count are there. */
struct amqp_tokens {
    uint64_t *items;
    size_t at, count, cap;
};

struct amqp {
    const struct amqp_conf *conf;
    const struct sink_env *env;
    struct amqp_servers servers;
    struct name_template *address;
    const char *fixed; /* the address of all events; NULL: it depends on the event */
    struct amqp_link link;
    struct amqp_maker maker;
    struct buf scratch;

    struct lanes lanes;
    struct amqp_tokens ready;     /* to be sent */
    struct amqp_tokens delivered; /* to be reported */
    uint64_t passed;              /* the event that was reported as poison just now; 0: none */
    int64_t starving_us;          /* since when the first of `ready` has no credit; 0: it has */
    int64_t stuck_us;             /* since when the server does not read; 0: it does */

    struct error failure; /* class not NONE: nothing more is sent until the next start */
    bool told;            /* the failure was returned to the pipeline */
    bool broken;          /* the connection is of no use any more */
};

static inline bool amqp_any(const struct amqp_tokens *t)
{
    return t->at < t->count;
}

static inline bool amqp_has_failed(const struct amqp *a)
{
    return a->failure.class != ERROR_NONE;
}

/* Nothing more is sent until the next start. broken: the connection is of no use any more. */
void amqp_fail(struct amqp *a, const struct error *err, bool broken);

/* Forgets all that was put, and the failure. */
void amqp_forget(struct amqp *a);

/* Takes an event. AGAIN: no place for one more address. POISON. */
int amqp_take(struct amqp *a, const struct event *e, uint64_t token, struct error *err) MUST_CHECK;

/* The link's `answer`. */
void amqp_answered(void *sink, uint64_t token, const struct error *refusal);

/* The event is settled, and the next one of its key has its turn. False: it is of before the last
 * start. */
bool amqp_settle(struct amqp *a, uint64_t token);

/* Sends what is ready, as far as there is credit. amqp_run reads and writes, too. A failure is kept
 * in a->failure. */
void amqp_send_ready(struct amqp *a);
void amqp_run(struct amqp *a);

/* Whether the server has given no credit for long; then amqp_starving says it, as BUSY. */
bool amqp_is_starving(const struct amqp *a);
int amqp_starving(const struct amqp *a, struct error *err);
