/* Measures how far behind the pipeline is, and what holds it up. The log has one line when
 * something begins to hold it up and one when that is over. */
#include "pipeline/internal.h"

#include "base/log.h"
#include "base/shown.h"
#include "pipeline/side.h"
#include <stdio.h>
#include <string.h>

static const int64_t LAG_EVERY_US = US_PER_SECOND;

/* When the oldest event that was read and is not settled was created (wall clock); TIME_NONE if
 * there is no such event. */
static int64_t oldest_in_hand(const struct pipeline *p)
{
    struct ledger_run run;
    uint64_t iter = 0;
    bool any = ledger_open_run(p->ledger, &iter, &run) || ledger_next(p->ledger, &run);
    return any ? run.batch->events[run.from].created_at_us : TIME_NONE;
}

/* Adds the events in hand: the source knows only of those that are not read yet. */
static void add_in_hand(const struct pipeline *p, struct source_lag *lag)
{
    int64_t oldest = oldest_in_hand(p);
    if (oldest != TIME_NONE && (lag->oldest_us == TIME_NONE || oldest < lag->oldest_us)) {
        lag->oldest_us = oldest;
    }
    if (lag->pending_events >= 0) {
        lag->pending_events +=
            (int64_t)(ledger_open_count(p->ledger) + ledger_waiting_count(p->ledger));
    }
}

/* True if the receiver asked to slow down, or if the sink has open events and says that it cannot
 * deliver them now; the text goes into lag->held_up. */
static bool sink_holds_up(struct pipeline *p, struct source_lag *lag)
{
    struct error why = {0};
    if (failure_is_slowed(p)) {
        snprintf(lag->held_up, sizeof lag->held_up, "%s", p->slowed);
        return true;
    }
    if (!p->downstream.ready || !p->parts.sink->healthy || ledger_open_count(p->ledger) == 0 ||
        p->parts.sink->healthy(p->sink, &why) == RESULT_DONE) {
        return false;
    }
    snprintf(lag->held_up, sizeof lag->held_up, "%.255s", why.text);
    if (why.class == ERROR_BUSY) {
        failure_busy(p, &why);
    }
    return true;
}

/* Logs that nothing holds the pipeline up any more. Not while one side is down: what held it up may
 * still be there, and the state tells what is wrong meanwhile. */
static void tell_no_longer(struct pipeline *p)
{
    bool works = pipeline_may_work(p) && p->upstream.failures + p->downstream.failures == 0;
    if (p->held_up_since_us && works) {
        log_write(LOG_INFO, p->name, "no longer held up, after %.1f s",
                  (double)(clock_mono_us() - p->held_up_since_us) / US_PER_SECOND);
        p->held_up_since_us = 0;
    }
}

/* Logs what holds the pipeline up, once for each new text of the source. A sink's text changes with
 * each try (librdkafka counts its tries in it), so only the first one is logged. */
static void tell_held_up(struct pipeline *p, const char *text, bool by_sink)
{
    if (!text[0]) {
        tell_no_longer(p);
        return;
    }
    bool known = p->held_up_since_us && by_sink == p->held_up_by_sink &&
                 (by_sink || strcmp(text, p->status.lag.held_up) == 0);
    if (!known) {
        log_write(LOG_WARN, p->name, "held up: %s", text);
    }
    p->held_up_since_us = p->held_up_since_us ? p->held_up_since_us : clock_mono_us();
    p->held_up_by_sink = by_sink;
}

void lag_update(struct pipeline *p, int64_t now)
{
    struct metrics *m = p->parts.metrics;
    struct source_lag lag = SOURCE_LAG_UNKNOWN;
    p->lag_at_us = now + LAG_EVERY_US;
    if (p->parts.source->lag && p->status.state != PIPELINE_WAITING) {
        /* Not in WAITING: there another relay runs the pipeline, and only its figures are true. */
        p->parts.source->lag(p->source, &lag);
    }
    add_in_hand(p, &lag);
    bool by_sink = !lag.held_up[0] && sink_holds_up(p, &lag);
    shown_mend(lag.held_up, sizeof lag.held_up, SHOWN_IN_LINE);
    shown_mend(lag.progress, sizeof lag.progress, SHOWN_IN_LINE);
    shown_mend(lag.warning, sizeof lag.warning, SHOWN_IN_LINE);
    tell_held_up(p, lag.held_up, by_sink);
    int64_t age_us = lag.oldest_us == TIME_NONE ? 0 : clock_wall_us() - lag.oldest_us;
    metrics_set(&m->lag_us,
                age_us > 0 ? age_us : 0); /* the database's clock may be ahead of ours */
    targets_update(p);
    growth_note(&p->growth, now, lag.slot_retained_bytes);
    growth_note(&p->pace, now, (int64_t)metrics_get(&m->events_delivered));
    pthread_mutex_lock(&p->status_lock);
    p->status.lag = lag;
    p->status.slot_limit_seconds = growth_until(&p->growth, lag.slot_limit_bytes);
    p->status.rate = p->pace.rate;
    pthread_mutex_unlock(&p->status_lock);
}
