/* Obeys the commands of an operator: pause, resume, position set. They come through the daemon's
 * socket (pipeline_order) and are answered in the status, or through the control row of the store
 * and are answered there. */
#include "pipeline/internal.h"

#include "base/log.h"
#include "pipeline/room.h"
#include <stdio.h>

static const int64_t CONTROL_EVERY_US = US_PER_SECOND / 2;

static int answer(struct pipeline *p, const char *text, struct error *err)
{
    log_write(LOG_INFO, p->name, "command obeyed: %s", text);
    if (!p->ordered) {
        return p->parts.store->control_answer(p->store, p->control.id, text, err);
    }
    pthread_mutex_lock(&p->status_lock);
    p->status.order_id = p->control.id;
    snprintf(p->status.order_answer, sizeof p->status.order_answer, "%s", text);
    pthread_mutex_unlock(&p->status_lock);
    return RESULT_DONE;
}

static int store_pause(struct pipeline *p, struct error *err)
{
    if (p->parts.store->set_paused(p->store, p->paused, err)) {
        return RESULT_ERROR;
    }
    p->pause_unstored = false;
    return RESULT_DONE;
}

int control_load_paused(struct pipeline *p, struct error *err)
{
    return p->pause_unstored ? store_pause(p, err)
                             : p->parts.store->get_paused(p->store, &p->paused, err);
}

static void take_pause(struct pipeline *p, bool paused)
{
    p->paused = paused;
    p->pause_unstored = true;
    if (!paused) {
        p->upstream.retry_at_us = p->downstream.retry_at_us = p->breaker.open_until_us = 0;
    }
}

static int answer_unstored(struct pipeline *p)
{
    struct error none;
    return answer(p,
                  p->paused ? "paused; the database cannot be reached now, so the pause is stored "
                              "later, and is forgotten if the daemon ends before"
                            : "resumed; the database could not be reached, it is tried again now",
                  &none);
}

static int obey_pause(struct pipeline *p, bool paused, struct error *err)
{
    take_pause(p, paused);
    if (store_pause(p, err)) {
        if (p->ordered) { /* answer now: unlike the control row, an order is taken only once */
            (void)answer_unstored(p);
        }
        return RESULT_ERROR;
    }
    /* The operator may have corrected or removed the row that blocks, so it is read again. */
    if (!paused && p->poisoned) {
        upstream_down(p);
    }
    return answer(p, paused ? "paused" : "resumed", err);
}

static int start_source_at(struct pipeline *p, const char *position, struct error *err)
{
    CLEANUP(buf_release) struct buf cursor = {0};
    if (p->parts.source->position(p->source, position, &cursor, err)) {
        return RESULT_ERROR;
    }
    p->dropped = true; /* a start that fails leaves nothing to read from */
    if (p->parts.source->start(p->source, buf_slice(&cursor), p->epoch, err)) {
        return RESULT_ERROR;
    }
    p->dropped = false;
    progress_move(&p->progress, buf_slice(&cursor));
    return settle_wait(p, err);
}

/* Starts the source at the new position, once everything that was put is settled and saved; until
 * then it is called again in each round. */
static int obey_set_position(struct pipeline *p, struct error *err)
{
    char text[sizeof p->control.argument + 32];
    room_drop_waiting(p);
    if (!settle_done(p)) {
        return RESULT_DONE;
    }
    p->set_position = p->ordered; /* an order is tried again after a failure; the row stays there */
    if (start_source_at(p, p->control.argument, err)) {
        struct error why = *err;
        snprintf(text, sizeof text, "refused: %.480s", why.text);
        if (err->class == ERROR_CONFIG) {
            p->set_position = false;
            if (p->dropped) { /* read again, from the frontier on, what was forgotten */
                upstream_down(p);
            }
            return answer(p, text, err);
        }
        return RESULT_ERROR;
    }
    p->set_position = p->poisoned = false;
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

static bool take_order(struct pipeline *p)
{
    pthread_mutex_lock(&p->status_lock);
    bool there = p->order.command != STORE_NO_COMMAND;
    if (there) {
        p->control = p->order;
        p->order.command = STORE_NO_COMMAND;
        p->ordered = true;
    }
    pthread_mutex_unlock(&p->status_lock);
    return there;
}

bool pipeline_order(struct pipeline *p, enum store_command command, const char *argument,
                    int64_t *ret_id)
{
    pthread_mutex_lock(&p->status_lock);
    bool free = p->order.command == STORE_NO_COMMAND;
    if (free) {
        /* The time serves as id because it is new after a reload as well: the answer to an order of
         * the instance before must not be taken for the answer to this one. */
        p->order.id = *ret_id = clock_mono_us();
        p->order.command = command;
        snprintf(p->order.argument, sizeof p->order.argument, "%s", argument);
    }
    pthread_mutex_unlock(&p->status_lock);
    return free;
}

/* `position set` is refused because it needs the source; the answer has the pipeline's state, which
 * tells what is wrong. */
void control_without_store(struct pipeline *p)
{
    struct error none;
    if (p->draining || p->ended || p->set_position || !take_order(p)) {
        return;
    }
    if (p->status.state == PIPELINE_WAITING) {
        (void)answer(p, "refused: another relay runs the pipeline", &none);
    } else if (p->control.command == STORE_SET_POSITION) {
        char text[sizeof p->status.order_answer];
        snprintf(text, sizeof text, "refused: the pipeline is %s: %.400s",
                 pipeline_state_name(p->status.state), p->status.detail);
        (void)answer(p, text, &none);
    } else {
        take_pause(p, p->control.command == STORE_PAUSE);
        (void)answer_unstored(p);
    }
}

int control_poll(struct pipeline *p, struct error *err)
{
    if (p->progress.saving || p->draining || p->ended) {
        return RESULT_DONE;
    }
    if (p->set_position) {
        return obey_set_position(p, err);
    }
    if (take_order(p)) {
        return obey(p, err);
    }
    int64_t now = clock_mono_us();
    if (now < p->control_at_us) {
        return RESULT_DONE;
    }
    p->control_at_us = now + CONTROL_EVERY_US;
    p->control.command = STORE_NO_COMMAND;
    p->ordered = false;
    if (p->parts.store->control_take(p->store, &p->control, err)) {
        return RESULT_ERROR;
    }
    return obey(p, err);
}
