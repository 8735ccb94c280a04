/*
 * The inside of a consumer, for the files of this folder.
 */
#pragma once

#include "consume/consumer.h"
#include "consume/decode/decode.h"
#include "consume/from/from.h"
#include "consume/lane.h"
#include "consume/streams.h"
#include <pthread.h>

struct consumer {
    const struct conf_consumer *conf;
    _Atomic bool until_idle; /* it ends once all is applied; any thread */
    _Atomic bool stop;       /* it was asked to stop; any thread */
    bool patient;            /* a source that is missing at the start is waited for */
    struct decode_conf decode;

    const struct from_ops *from_ops;
    void *from; /* NULL: not open */
    struct backoff from_backoff;
    int64_t from_retry_at_us, from_failed_at_us; /* monotonic; from_failed_at_us 0: it works */
    bool from_up;                                /* the source was read since it was opened */
    bool loaded; /* the saved positions are known, and what the inbox needs is there */

    struct lane *lanes;
    size_t lanes_count, lanes_busy;
    struct record *first, *last; /* taken, and not yet given to a lane */
    struct record *alone;        /* is being applied while nothing else is */
    struct streams streams;
    int64_t save_at_us;     /* positions are saved no earlier */
    int64_t progress_at_us; /* when something was applied last */
    bool was_up; /* all that it needs has been there: from now on it waits for what is missing */

    int wake_fd, abort_fd; /* eventfds: wake: until_idle or stop is set; abort: give up what is
                              under way */
    bool finishing;        /* until_idle was seen */
    bool draining, ended;
    int64_t drain_until_us;
    int exit_code;
    struct apply_counts counts;

    pthread_mutex_t lock; /* of status */
    struct consumer_status status;
    char told[256]; /* the failure that was logged last */
    int64_t told_at_us;
};

/* state.c: what became of it. */
void consumer_enter(struct consumer *c, enum consumer_state state, const char *detail);
void consumer_end(struct consumer *c, int exit_code, const struct error *why);
/* Works again after a failure. */
void consumer_well(struct consumer *c);
/* A failure: logs it, and ends the consumer if it cannot go on. Returns when to try again, never if
 * it ended. `since_us`: since when it fails. */
int64_t consumer_failed(struct consumer *c, struct backoff *backoff, const struct error *err,
                        int64_t since_us);

/* flow.c: records and lanes. */
void flow_take(void *consumer, const struct incoming *in); /* a from_take */
void flow_dispatch(struct consumer *c);
void flow_collect(struct consumer *c);              /* what the lanes have ended */
void flow_lose(void *consumer, const char *stream); /* from_env.lose */
bool flow_saved(const struct consumer *c);          /* all that was applied is durable */
