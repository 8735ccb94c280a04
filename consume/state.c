/* The state of a consumer, and what follows from a failure. The class of the error decides. What is
 * CONFIG ends a consumer that has not worked yet, and blocks one that has. */
#include "consume/internal.h"

#include <stdio.h>

/* With --until-idle: how long a failure may last without any progress. */
static const int64_t PATIENCE_US = 30 * US_PER_SECOND;
/* How often a failure that lasts is logged again. */
static const int64_t REPEAT_US = 60 * US_PER_SECOND;

const char *consumer_state_name(enum consumer_state state)
{
    static const char *const names[] = {"starting", "running", "retrying", "blocked",
                                        "stopping", "stopped", "failed"};
    return names[state];
}

void consumer_enter(struct consumer *c, enum consumer_state state, const char *detail)
{
    pthread_mutex_lock(&c->lock);
    bool changed = c->status.state != state;
    c->status.state = state;
    snprintf(c->status.detail, sizeof c->status.detail, "%s", detail);
    pthread_mutex_unlock(&c->lock);
    if (changed) {
        log_write(LOG_INFO, c->conf->name, "consumer %s", consumer_state_name(state));
    }
}

void consumer_well(struct consumer *c)
{
    c->was_up = c->was_up || c->from_up || c->patient;
    bool well = c->from_up;
    for (size_t i = 0; i < c->lanes_count; i++) {
        well = well && c->lanes[i].failures == 0 && !c->lanes[i].blocked;
    }
    if (!well) {
        return; /* something else is missing, or has still failed */
    }
    c->told[0] = '\0';
    if (!c->draining && !c->ended) {
        consumer_enter(c, CONSUMER_RUNNING, "");
    }
}

void consumer_end(struct consumer *c, int exit_code, const struct error *why)
{
    if (c->ended) {
        return;
    }
    c->ended = true;
    c->exit_code = exit_code;
    if (why) {
        log_error(LOG_ERROR, c->conf->name, "ends", why);
    }
    consumer_enter(c, why ? CONSUMER_FAILED : CONSUMER_STOPPED, why ? why->text : "");
}

static bool ends_it(const struct consumer *c, const struct error *err, int64_t since_us)
{
    int64_t quiet_us = since_us > c->progress_at_us ? since_us : c->progress_at_us;
    switch (err->class) {
    case ERROR_FATAL:
        return true;
    case ERROR_POISON:
        return c->until_idle;
    case ERROR_CONFIG:
        return !c->was_up || c->until_idle;
    case ERROR_NONE:
    case ERROR_RETRY:
    case ERROR_BUSY:
        break;
    }
    return c->until_idle && clock_mono_us() - quiet_us > PATIENCE_US;
}

static void tell(struct consumer *c, const struct error *err, int64_t wait_us)
{
    char what[64];
    int64_t now = clock_mono_us();
    if (strncmp(c->told, err->text, sizeof c->told - 1) == 0 && now - c->told_at_us < REPEAT_US) {
        return;
    }
    snprintf(c->told, sizeof c->told, "%.255s", err->text);
    c->told_at_us = now;
    snprintf(what, sizeof what, "retry in %lld ms", (long long)(wait_us / 1000));
    log_error(LOG_WARN, c->conf->name, what, err);
}

static bool any_blocked(const struct consumer *c)
{
    for (size_t i = 0; i < c->lanes_count; i++) {
        if (c->lanes[i].blocked) {
            return true;
        }
    }
    return false;
}

int64_t consumer_failed(struct consumer *c, struct backoff *backoff, const struct error *err,
                        int64_t since_us)
{
    bool help = err->class == ERROR_CONFIG || err->class == ERROR_POISON;
    if (c->draining) {
        return DEADLINE_NEVER;
    }
    if (ends_it(c, err, since_us)) {
        consumer_end(c, err->exit_code ? err->exit_code : EXIT_CODE_BUG, err);
        return DEADLINE_NEVER;
    }
    int64_t wait = help && c->was_up ? c->conf->retry.max_us : backoff_next(backoff);
    wait = err->retry_after_us > wait ? err->retry_after_us : wait;
    tell(c, err, wait);
    /* A retry of this lane does not mend what blocks another one. */
    consumer_enter(c, help || any_blocked(c) ? CONSUMER_BLOCKED : CONSUMER_RETRYING, err->text);
    return clock_mono_us() + wait;
}
