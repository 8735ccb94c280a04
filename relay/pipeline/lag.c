/* How far behind the pipeline is and what holds it up; what is told when that begins is told when
 * it ends. */
#include "pipeline/internal.h"

#include "base/log.h"
#include "base/shown.h"
#include "pipeline/side.h"
#include <stdio.h>
#include <string.h>

static const int64_t LAG_EVERY_US = US_PER_SECOND;

/* When the oldest event that was read and is not acknowledged was made. */
static int64_t oldest_in_hand(const struct pipeline *p)
{
    struct ledger_run run;
    uint64_t iter = 0;
    bool any = ledger_open_run(p->ledger, &iter, &run) || ledger_next(p->ledger, &run);
    return any ? run.batch->events[run.from].created_at_us : TIME_NONE;
}

/* The source knows of what is not read yet; what is in hand waits for the sink. */
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

/* What is wrong with the sink's world, if something waits for it. */
static bool sink_holds_up(struct pipeline *p, struct source_lag *lag)
{
    struct error why;
    if (!p->downstream.ready || !p->parts.sink->healthy || ledger_open_count(p->ledger) == 0 ||
        p->parts.sink->healthy(p->sink, &why) == RESULT_DONE) {
        return false;
    }
    snprintf(lag->held_up, sizeof lag->held_up, "%.255s", why.text);
    return true;
}

/* While one side is down the state says what is wrong; what holds up may be there still. */
static void tell_no_longer(struct pipeline *p)
{
    bool works = pipeline_may_work(p) && p->upstream.failures + p->downstream.failures == 0;
    if (p->held_up_since_us && works) {
        log_write(LOG_INFO, p->name, "no longer held up, after %.1f s",
                  (double)(clock_mono_us() - p->held_up_since_us) / US_PER_SECOND);
        p->held_up_since_us = 0;
    }
}

/* A sink's text changes with each try (librdkafka counts them), so only its beginning is news. */
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
    if (p->parts.source->lag && p->status.state != PIPELINE_WAITING) { /* then another's is true */
        p->parts.source->lag(p->source, &lag);
    }
    add_in_hand(p, &lag);
    bool by_sink = !lag.held_up[0] && sink_holds_up(p, &lag);
    shown_mend(lag.held_up, sizeof lag.held_up, SHOWN_IN_LINE);
    shown_mend(lag.progress, sizeof lag.progress, SHOWN_IN_LINE);
    tell_held_up(p, lag.held_up, by_sink);
    int64_t age_us = lag.oldest_us == TIME_NONE ? 0 : clock_wall_us() - lag.oldest_us;
    metrics_set(&m->lag_us,
                age_us > 0 ? age_us : 0); /* the database's clock may be ahead of ours */
    growth_note(&p->growth, now, lag.slot_retained_bytes);
    growth_note(&p->pace, now, (int64_t)metrics_get(&m->events_delivered));
    pthread_mutex_lock(&p->status_lock);
    p->status.lag = lag;
    p->status.slot_limit_seconds = growth_until(&p->growth, lag.slot_limit_bytes);
    p->status.rate = p->pace.rate;
    pthread_mutex_unlock(&p->status_lock);
}
