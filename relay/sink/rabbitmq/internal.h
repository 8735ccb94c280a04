/*
 * The state of a session's worker, shared by the files that make up the job:
 *   serve.c     life of the connection, publishing
 *   answers.c   what the broker says
 *
 * Private to these files. The worker's thread only.
 */
#pragma once

#include "sink/rabbitmq/connection.h"
#include "sink/rabbitmq/errors.h"
#include "sink/rabbitmq/session.h"

/* It lives as long as the job. */
struct rabbit_server {
    struct rabbit_session *s;
    amqp_connection_state_t c;
    const struct rabbit_host *host;
    size_t piece; /* most bytes of a value in one frame */
    struct rabbit_scratch scratch;
    /* Copies of what is shared; see look_around. */
    bool stop, hold, blocked;
    uint64_t put, sent, low;
    size_t window;
    /* The message that is being sent: entry `sent`. */
    bool begun;
    size_t offset; /* of its value, how much is sent */
    /* The message that is being returned: what came first, and how much is still to come. */
    bool returning;
    char return_exchange[256], return_key[256];
    uint64_t return_left;
    /* Some entries were returned: nothing more is begun, and once all others are answered they are
     * poison. */
    bool poisoned;
};

static inline struct rabbit_entry *rabbit_entry_at(const struct rabbit_server *w, uint64_t number)
{
    return &w->s->ring[number & w->s->mask];
}

static inline unsigned char *rabbit_fate_at(const struct rabbit_server *w, uint64_t number)
{
    return &w->s->fates[number & w->s->mask];
}

/* Adds a result; with the lock held. */
static inline void rabbit_add_result(struct rabbit_session *s, uint64_t number,
                                     enum sink_outcome outcome)
{
    s->results[s->results_count++] = (struct rabbit_result){number, outcome};
}

/* answers.c: takes one frame. ERROR: the connection is of no use any more. */
int rabbit_take_frame(struct rabbit_server *w, const amqp_frame_t *f, struct error *err) MUST_CHECK;
