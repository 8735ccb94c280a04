/* What other threads see of a pipeline: its own thread writes struct pipeline_status under a lock,
 * and they copy it under the same lock. They ask it to stop by setting an atomic flag. */
#include "pipeline/status.h"

#include "base/log.h"
#include "base/shown.h"
#include "pipeline/internal.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void pipeline_request_stop(struct pipeline *p)
{
    uint64_t one = 1;
    atomic_store(&p->stop, true);
    /* The eventfd is never read, so it stays readable. Source, sink and store have it in the poll
     * of their own waits too, and each of those waits ends. */
    ssize_t n UNUSED = write(p->stop_fd, &one, sizeof one);
}

void pipeline_status(struct pipeline *p, struct pipeline_status *ret)
{
    pthread_mutex_lock(&p->status_lock);
    *ret = p->status;
    pthread_mutex_unlock(&p->status_lock);
}

void status_report(struct pipeline *p)
{
    struct error ignored;
    if (!p->state_unreported || !p->store_ready || p->progress.saving || p->parts.replay) {
        return;
    }
    int rc = p->parts.store->report_state(p->store, pipeline_state_name(p->status.state),
                                          p->status.detail, &ignored);
    p->state_unreported = rc == RESULT_AGAIN;
}

static enum log_level level_of(enum pipeline_state state)
{
    bool over = state == PIPELINE_BLOCKED || state == PIPELINE_FAILED;
    return over ? LOG_ERROR : state == PIPELINE_RETRYING ? LOG_WARN : LOG_INFO;
}

void pipeline_enter(struct pipeline *p, enum pipeline_state state, const char *detail)
{
    char shown[sizeof p->status.detail];
    snprintf(shown, sizeof shown, "%s", detail);
    shown_mend(shown, sizeof shown, SHOWN_IN_LINE);
    bool same = p->status.state == state && strcmp(p->status.detail, shown) == 0;
    assert(pipeline_state_may_follow(p->status.state, state));
    if (same) {
        return;
    }
    pthread_mutex_lock(&p->status_lock);
    p->status.state = state;
    p->status.since_us = clock_wall_us();
    memcpy(p->status.detail, shown, sizeof shown);
    pthread_mutex_unlock(&p->status_lock);
    metrics_set(&p->parts.metrics->state, state);
    log_write(level_of(state), p->name, "state %s%s%s", pipeline_state_name(state),
              shown[0] ? ": " : "", shown);
    p->state_unreported = true;
    status_report(p);
}

void pipeline_end(struct pipeline *p, enum pipeline_state state, int exit_code, const char *detail)
{
    p->ended = true;
    p->exit_code = exit_code;
    pthread_mutex_lock(&p->status_lock);
    p->status.exit_code = exit_code;
    pthread_mutex_unlock(&p->status_lock);
    pipeline_enter(p, state, detail);
}

void pipeline_block(struct pipeline *p, const char *why, const char *trace)
{
    p->poisoned = true;
    log_write_traced(LOG_ERROR, p->name, trace, "%s", why);
    pipeline_enter(p, PIPELINE_BLOCKED, why);
    if (p->parts.until_idle) {
        p->exit_code = EXIT_CODE_GAVE_UP;
        pipeline_request_stop(p); /* what is in flight is still settled and saved */
    }
}

void status_position(struct pipeline *p, struct slice position)
{
    pthread_mutex_lock(&p->status_lock);
    snprintf(p->status.position, sizeof p->status.position, "%.*s", SLICE_FMT(position));
    pthread_mutex_unlock(&p->status_lock);
}

void status_update(struct pipeline *p)
{
    struct metrics *m = p->parts.metrics;
    metrics_set(&m->in_flight_events,
                (int64_t)(ledger_open_count(p->ledger) + ledger_waiting_count(p->ledger)));
    metrics_set(&m->in_flight_bytes, (int64_t)ledger_bytes(p->ledger));
    metrics_set(&m->breaker_state, p->breaker.state);
    pthread_mutex_lock(&p->status_lock);
    p->status.alive_us = clock_mono_us();
    p->status.delivered = p->progress.delivered;
    p->status.paused = p->paused;
    pthread_mutex_unlock(&p->status_lock);
}
