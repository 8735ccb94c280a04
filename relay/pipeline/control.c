/* Commands reach a running daemon through the control row of its store; it obeys and answers there.
 */
#include "pipeline/internal.h"

#include "base/log.h"
#include <stdio.h>

static const int64_t CONTROL_EVERY_US = US_PER_SECOND / 2;

static int answer(struct pipeline *p, const char *text, struct error *err)
{
    log_write(LOG_INFO, p->name, "command obeyed: %s", text);
    return p->parts.store->control_answer(p->store, p->control.id, text, err);
}

static int obey_pause(struct pipeline *p, bool paused, struct error *err)
{
    if (p->parts.store->set_paused(p->store, paused, err)) {
        return RESULT_ERROR;
    }
    p->paused = paused;
    if (!paused) {
        p->upstream.retry_at_us = p->downstream.retry_at_us = p->breaker.open_until_us = 0;
        if (p->poisoned) { /* the operator may have mended or removed the event that blocks */
            upstream_down(p);
        }
    }
    return answer(p, paused ? "paused" : "resumed", err);
}

/* Only once everything read so far is settled and saved. */
static int obey_set_position(struct pipeline *p, struct error *err)
{
    char text[sizeof p->control.argument + 32];
    feed_drop_waiting(p);
    if (!settle_done(p)) {
        return RESULT_DONE;
    }
    p->set_position = false;
    if (connect_source_at(p, p->control.argument, err)) {
        struct error why = *err;
        snprintf(text, sizeof text, "refused: %.480s", why.text);
        if (err->class == ERROR_CONFIG) {
            if (p->dropped) { /* from behind the frontier */
                upstream_down(p);
            }
            return answer(p, text, err);
        }
        return RESULT_ERROR;
    }
    p->poisoned = false;
    snprintf(text, sizeof text, "position set to %s", p->control.argument);
    return answer(p, text, err);
}

static int obey(struct pipeline *p, struct error *err)
{
    switch (p->control.command) {
    case STORE_NO_COMMAND:
        return RESULT_DONE;
    case STORE_PAUSE:
    case STORE_RESUME:
        return obey_pause(p, p->control.command == STORE_PAUSE, err);
    case STORE_SET_POSITION:
        p->set_position = true;
        return RESULT_DONE;
    }
    return answer(p, "refused: this version does not know the command", err);
}

int control_poll(struct pipeline *p, struct error *err)
{
    if (p->saving || p->draining || p->ended) {
        return RESULT_DONE;
    }
    if (p->set_position) {
        return obey_set_position(p, err);
    }
    int64_t now = clock_mono_us();
    if (now < p->control_at_us) {
        return RESULT_DONE;
    }
    p->control_at_us = now + CONTROL_EVERY_US;
    p->control.command = STORE_NO_COMMAND;
    if (p->parts.store->control_take(p->store, &p->control, err)) {
        return RESULT_ERROR;
    }
    return obey(p, err);
}
