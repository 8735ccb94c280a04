/*
 * A session is one connection to RabbitMQ from its beginning to its end. It runs as one job of a
 * worker, because librabbitmq's calls have no deadlines. The owner (the pipeline's thread) puts
 * entries into a ring and takes results out; the worker publishes the entries in their order and
 * learns from the broker what became of them.
 *
 * Example: entries 0, 1, 2 are put and published as delivery tags 1, 2, 3. The broker answers
 * ack 3, return of 2, ack 2 (multiple). The results are: 2 delivered, 0 delivered, and then, as
 * nothing is on its way any more, 1 poison.
 *
 * What is below `lock` is shared; all else says whose it is. The job ends by itself when the
 * connection is lost (`failure`) or when the owner asks it to (`stop`).
 */
#pragma once

#include "sink/rabbitmq/message.h"

#include "base/worker.h"
#include "contract/sink.h"
#include "sink/rabbitmq/conf.h"
#include <pthread.h>
#include <unistd.h>

enum rabbit_state { RABBIT_CONNECTING, RABBIT_OPEN, RABBIT_ENDED };

/* What became of an entry on the wire; the worker's. Returned: its acknowledgement is still to
 * come. Poisoned: that has come too. Settled: its result is given. */
enum rabbit_fate { RABBIT_UNANSWERED, RABBIT_RETURNED, RABBIT_POISONED, RABBIT_SETTLED };

struct rabbit_result {
    uint64_t number;
    enum sink_outcome outcome; /* DELIVERED or POISON */
};

enum { RABBIT_WHY_SIZE = 128 };

struct rabbit_session {
    /* Set by the owner before the job begins. Texts are the session's own: a job that was left
     * behind outlives sink and configuration. Of `conf` there is no more than the job reads. */
    struct rabbit_conf conf;
    struct rabbit_hosts hosts;
    const char *pipeline, *exchange; /* exchange: that of all events, or NULL */
    struct rabbit_entry *ring;       /* by number & mask, numbers from 0 */
    unsigned char *fates;            /* enum rabbit_fate, as the ring; the worker's */
    size_t mask;
    struct worker *worker;
    int wake_fd; /* eventfd: the worker has something to do */
    int told_fd; /* eventfd: the owner has something to look at */

    pthread_mutex_t lock;
    /* --- the owner writes --- */
    bool stop;     /* end the job */
    bool hold;     /* begin no further message */
    uint64_t put;  /* entries with smaller numbers are there */
    size_t window; /* at most so many unanswered; the worker lets it grow */
    size_t host;   /* the server to begin with; the worker: the one it is at */
    /* --- the worker writes --- */
    enum rabbit_state state;
    bool quiet;                    /* `hold`, and nothing is on its way or begun */
    uint64_t sent;                 /* entries with smaller numbers were published */
    uint64_t low;                  /* entries with smaller numbers are answered */
    uint64_t given;                /* of entries with smaller numbers the results are given */
    struct rabbit_result *results; /* as many as the ring has places */
    size_t results_count;
    struct error poison;  /* why an entry is poison; class NONE: no queue takes it */
    struct error failure; /* class not NONE: the connection is lost */
    bool blocked;         /* by connection.blocked */
    char blocked_why[RABBIT_WHY_SIZE];
    size_t frame_max;
    int fd; /* of the socket, beside the library's own: nobody else closes it; -1 */
};

/* session.c, for the owner. Makes the ring and the worker. conf and hosts have been checked
 * (rabbit_conf_check); take_hosts is the session's, after an error too. exchange: the fixed one, or
 * NULL. */
int rabbit_session_new(const struct rabbit_conf *conf, struct rabbit_hosts take_hosts,
                       const char *pipeline, const char *exchange, size_t places,
                       struct rabbit_session **ret, struct error *err) MUST_CHECK;

/* Stops the job, by force after two seconds, and frees the session. False: the job hangs for three
 * more. It is left behind, and frees the session when it ends. NULL is fine. */
bool rabbit_session_end(struct rabbit_session *s) MUST_CHECK;

/* Begins to connect; the job before has ended. */
void rabbit_session_begin(struct rabbit_session *s);
/* Asks the job to end. `now`: a call that it hangs in ends too. */
void rabbit_session_stop(struct rabbit_session *s, bool now);
/* Whether a job runs; takes its end. */
bool rabbit_session_runs(struct rabbit_session *s);

/* Makes one of the two eventfds readable, or not so any more. */
static inline void rabbit_session_wake(int fd)
{
    uint64_t one = 1;
    ssize_t rc UNUSED = write(fd, &one, sizeof one);
}

static inline void rabbit_session_hush(int fd)
{
    uint64_t n;
    ssize_t rc UNUSED = read(fd, &n, sizeof n);
}

/* serve.c: the job; arg is the session. */
void rabbit_session_serve(void *arg);
