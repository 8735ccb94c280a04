/* Decides what happens after an error: how long to wait before the next try, or whether the
 * pipeline ends, and with which exit code. The class of the error decides. Two codes are
 * exceptions: a refused login (exit code 77) is tried LOGIN_TRIES times at a start, and
 * SINK_OVERTAKEN makes the pipeline take the lock again. All failures of source, store and sink
 * come through here. An event that is refused is no failure of the sink: poison.c deals with it. */
#include "pipeline/internal.h"

#include "base/log.h"
#include "pipeline/room.h"
#include "pipeline/side.h"
#include "pipeline/status.h"
#include <stdio.h>
#include <string.h>

/* How often a refused login is tried at the start before the pipeline ends: while passwords are
 * being changed the first tries may fail. */
enum { LOGIN_TRIES = 3 };

/* How often a failure that lasts is logged again. */
static const int64_t REPEAT_US = 60 * US_PER_SECOND;

static bool ends_the_pipeline(const struct pipeline *p, const struct side *side,
                              const struct error *err)
{
    switch (err->class) {
    case ERROR_FATAL:
        return true;
    case ERROR_CONFIG:
        if (err->exit_code == EXIT_CODE_PERMISSION && !side->was_up) {
            return side->failures >= LOGIN_TRIES;
        }
        return !side->was_up || p->parts.until_idle;
    case ERROR_NONE:
    case ERROR_RETRY:
    case ERROR_POISON:
    case ERROR_BUSY:
        break;
    }
    return out_of_patience(p, side->first_failed_at_us);
}

/* Logs the first of several failures, and each one whose text is new. One with the same text is
 * counted, and logged once a minute with the count: otherwise a long outage would fill the log. */
static void log_failure(struct pipeline *p, struct side *side, const struct error *err,
                        int64_t wait_us)
{
    char what[128], since[CLOCK_RFC3339_SIZE];
    int64_t now = clock_mono_us();
    bool same = side->failures > 1 && strcmp(p->status.detail, err->text) == 0;
    side->repeated = same ? side->repeated + 1 : 1;
    side->repeated_since_us = same ? side->repeated_since_us : clock_wall_us();
    if (same && now - side->told_at_us < REPEAT_US) {
        return;
    }
    side->told_at_us = now;
    int n = snprintf(what, sizeof what, "retry in %lld ms", (long long)(wait_us / 1000));
    if (same) {
        clock_format_rfc3339(side->repeated_since_us, since);
        snprintf(what + n, sizeof what - (size_t)n, ", same failure %u times since %s",
                 side->repeated, since);
    }
    log_error(LOG_WARN, p->name, what, err);
}

static void fail(struct pipeline *p, struct side *side, const struct error *err)
{
    side->ready = false;
    if (p->ended) {
        return; /* the other side has ended it in this round */
    }
    side->failed_at_us = clock_mono_us();
    if (side->failures++ == 0) {
        side->first_failed_at_us = side->failed_at_us;
    }
    /* Only a receiver may be busy: from a source or store it is a failure like any other. */
    enum error_class counted = err->class == ERROR_BUSY ? ERROR_RETRY : err->class;
    metrics_add(&p->parts.metrics->failures[counted], 1);
    if (ends_the_pipeline(p, side, err)) {
        log_error(LOG_ERROR, p->name, "ends", err);
        pipeline_end(p, PIPELINE_FAILED, err->exit_code, err->text);
        return;
    }
    int64_t wait = err->class == ERROR_CONFIG && side->was_up ? p->delivery->retry.max_us
                                                              : backoff_next(&side->backoff);
    if (err->retry_after_us > wait) {
        wait = err->retry_after_us;
    }
    side->retry_at_us = clock_mono_us() + wait;
    metrics_add(&p->parts.metrics->retries, 1);
    if (p->draining) {
        return;
    }
    log_failure(p, side, err, wait);
    pipeline_enter(p, err->class == ERROR_CONFIG ? PIPELINE_BLOCKED : PIPELINE_RETRYING, err->text);
}

void upstream_down(struct pipeline *p)
{
    progress_connection_lost(&p->progress);
    p->store_ready = p->idle_seen = false;
    p->poisoned = false; /* the event that blocks is read again; it may have been corrected */
    p->upstream.ready = false;
    p->upstream.failed_at_us = clock_mono_us();
    if (p->parts.source->stop) {
        p->parts.source->stop(p->source);
    }
}

void failure_upstream(struct pipeline *p, const struct error *err)
{
    uint64_t place = room_read_count(p);
    p->furthest = place > p->furthest ? place : p->furthest;
    upstream_down(p);
    fail(p, &p->upstream, err);
}

void failure_reading(struct pipeline *p, const struct error *err)
{
    p->upstream.read_failures++;
    failure_upstream(p, err);
}

/* Has the source shown that what had failed works again? Example: event 7 cannot be read. The
 * source starts well and gives 1 to 6 as before, and this shows nothing. It has to give an event
 * after the place where it failed, or say that nothing is left to read. While the pipeline does not
 * read (it is paused, or has no room) neither can happen. Then the failure counts as over if it was
 * the first one while reading, because it may have been the connection's fault. A second one was
 * not. */
bool failure_over(const struct pipeline *p)
{
    bool asked = pipeline_may_work(p) && room_may_read(p);
    return p->read_to_the_end || room_read_count(p) > p->furthest ||
           (!asked && p->upstream.read_failures <= 1);
}

/* A receiver may ask for time again and again. With --until-idle the pipeline waits for the time
 * that the receiver named first, and then half a minute more, as for failures. An acknowledgement
 * begins the wait anew. */
void failure_busy(struct pipeline *p, const struct error *err)
{
    if (p->busy_from_us == 0) {
        p->busy_from_us = clock_mono_us() + err->retry_after_us;
    }
    if (!p->ended && !p->draining && out_of_patience(p, p->busy_from_us)) {
        struct error why = *err;
        error_prefix(&why, "it takes nothing, and the relay was to end when all is delivered");
        log_error(LOG_ERROR, p->name, "ends", &why);
        pipeline_end(p, PIPELINE_FAILED, EXIT_CODE_GAVE_UP, why.text);
    }
}

void failure_slow_down(struct pipeline *p, const struct error *err)
{
    int64_t wait =
        err->retry_after_us > 0 ? err->retry_after_us : backoff_next(&p->downstream.backoff);
    p->slowed_until_us = clock_mono_us() + wait;
    snprintf(p->slowed, sizeof p->slowed, "%.255s", err->text);
    failure_busy(p, err);
}

bool failure_is_slowed(const struct pipeline *p)
{
    return p->slowed_until_us > 0 && clock_mono_us() < p->slowed_until_us;
}

/* The sink is to be started again, when the receiver wants it. A dead letter in hand is looked at
 * again, too. */
static void wait_as_asked(struct pipeline *p, const struct error *err)
{
    failure_slow_down(p, err);
    p->downstream.retry_at_us = p->slowed_until_us;
    redrive_look_again(p, false);
}

/* The sink has failed, and nobody knows which of the open events it has delivered. So all of them
 * wait and are put again after its next start, under new tokens; late reports for the old tokens
 * are ignored. While draining nothing is put any more, so they are dropped. */
void failure_downstream(struct pipeline *p, const struct error *err)
{
    p->downstream.ready = false;
    park_flow_look_again(p, false);
    room_rewind(p);
    p->committing = false;
    if (p->draining) {
        room_drop_waiting(p);
    }
    if (err->class == ERROR_BUSY) {
        wait_as_asked(p, err);
        return;
    }
    redrive_sink_failed(p, err);
    if (error_is(err, SINK_OVERTAKEN)) {
        p->sink_recovered = false;
        failure_upstream(p, err); /* taking the lock again decides which relay may go on */
        return;
    }
    breaker_failure(&p->breaker, clock_mono_us());
    fail(p, &p->downstream, err);
}
