/* Obeys the commands of an operator: pause, resume, position set, and retry and drop of dead
 * letters. A command that comes through the daemon's socket (pipeline_order) is answered in the
 * status. One that comes through the control row of the store is answered in that row. */
#include "pipeline/internal.h"

#include "base/log.h"
#include "pipeline/letter.h"
#include "pipeline/room.h"
#include <stdio.h>
#include <string.h>

static const int64_t CONTROL_EVERY_US = US_PER_SECOND / 2;

static int answer(struct pipeline *p, const char *text, struct error *err)
{
    bool refused = strncmp(text, "refused: ", 9) == 0;
    log_write(LOG_INFO, p->name, "command %s%s", refused ? "" : "obeyed: ", text);
    if (!p->ordered) {
        return p->parts.store->control_answer(p->store, p->control.id, text, err);
    }
    pthread_mutex_lock(&p->status_lock);
    p->status.order_id = p->control.id;
    p->status.order_gave_up = p->control.command == STORE_RETRY && p->redrive.gave_up;
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
    if (p->parts.replay) {
        return RESULT_DONE; /* the pause is the relay's */
    }
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
    bool was = p->paused;
    take_pause(p, paused);
    if (store_pause(p, err)) {
        if (p->ordered) { /* answer now: unlike the control row, an order is taken only once */
            acts_paused(p, was, paused);
            (void)answer_unstored(p);
        }
        return RESULT_ERROR;
    }
    acts_paused(p, was, paused);
    /* The operator may have corrected or removed the row that blocks, so it is read again. */
    if (!paused && p->poisoned) {
        upstream_down(p);
    }
    return answer(p, paused ? "paused" : "resumed", err);
}

/* The cursor of a line of the history. If the source cannot go back to it, the order is refused,
 * like one for a position that does not exist. The pipeline goes on where it was. */
static int cursor_of_time(struct pipeline *p, const char *time, struct buf *ret, struct error *err)
{
    int64_t at_us, found_us;
    if (!p->parts.source->resumes || !clock_parse_timestamp(slice_from(time), &at_us)) {
        return error_set(err, ERROR_CONFIG, "pipeline", "\"%s\" is no time to go back to", time);
    }
    if (p->parts.store->history_at(p->store, at_us, ret, &found_us, err)) {
        return RESULT_ERROR;
    }
    if (ret->len == 0) {
        return error_set(err, ERROR_CONFIG, "pipeline", "no position was saved at or before %s",
                         time);
    }
    if (p->parts.source->resumes(p->source, buf_slice(ret), err)) {
        err->class = err->class == ERROR_FATAL ? ERROR_CONFIG : err->class;
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

static int cursor_of(struct pipeline *p, const char *position, struct buf *ret, struct error *err)
{
    size_t prefix = sizeof STORE_AT_TIME - 1;
    return strncmp(position, STORE_AT_TIME, prefix) == 0
               ? cursor_of_time(p, position + prefix, ret, err)
               : p->parts.source->position(p->source, position, ret, err);
}

static int start_source_at(struct pipeline *p, const char *position, struct error *err)
{
    CLEANUP(buf_release) struct buf cursor = {0};
    if (cursor_of(p, position, &cursor, err)) {
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
    if (!settle_done(p) || park_flow_in_hand(p)) {
        return RESULT_DONE;
    }
    if (p->position_before.len == 0) {
        acts_describe(p, buf_slice(&p->progress.cursor), &p->position_before);
    }
    p->settling = p->ordered; /* an order is tried again after a failure; the row stays there */
    if (start_source_at(p, p->control.argument, err)) {
        struct error why = *err;
        snprintf(text, sizeof text, "refused: %.480s", why.text);
        if (err->class == ERROR_CONFIG) {
            p->settling = false;
            buf_clear(&p->position_before);
            if (p->dropped) { /* read again what was forgotten: the events after the frontier */
                upstream_down(p);
            }
            return answer(p, text, err);
        }
        return RESULT_ERROR;
    }
    p->settling = p->poisoned = false;
    acts_position_set(p, buf_str(&p->position_before));
    buf_clear(&p->position_before);
    snprintf(text, sizeof text, "position set to %s", p->control.argument);
    return answer(p, text, err);
}

/* Each letter is sent and noted before the order is answered. */
static int obey_retry(struct pipeline *p, struct error *err)
{
    char text[sizeof p->status.order_answer];
    bool over;
    if (redrive_step(p, &over, err)) {
        return RESULT_ERROR;
    }
    if (!over) {
        return RESULT_DONE;
    }
    p->settling = false;
    redrive_answer(&p->redrive, text, sizeof text);
    return answer(p, text, err);
}

static int obey_drop(struct pipeline *p, struct error *err)
{
    int64_t ids[REDRIVE_LETTERS_MAX];
    size_t n = redrive_parse(p->control.argument, ids), dropped = 0;
    char text[128];
    for (size_t i = 0; i < n; i++) {
        bool done;
        if (p->parts.store->dead_letter_close(p->store, ids[i], STORE_LETTER_DROPPED, -1,
                                              clock_wall_us(), &done, err)) {
            return RESULT_ERROR;
        }
        if (done) {
            park_letter_closed(p, ids[i]);
        }
        dropped += done;
        if (done) {
            acts_letter(p, "dead_letter_drop", p->control.who, ids[i], STORE_LETTER_DROPPED);
        }
    }
    if (letter_count(p, err)) {
        return RESULT_ERROR;
    }
    snprintf(text, sizeof text, "dropped: %zu; not open, so nothing was done: %zu", dropped,
             n - dropped);
    return answer(p, text, err);
}

/* An order that waits until the pipeline is settled. */
static int obey_settled(struct pipeline *p, struct error *err)
{
    return p->control.command == STORE_RETRY ? obey_retry(p, err) : obey_set_position(p, err);
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
        p->settling = true;
        return RESULT_DONE;
    case STORE_RETRY:
        p->settling = redrive_begin(p, p->control.argument);
        return p->settling ? RESULT_DONE
                           : answer(p, "refused: no list of dead letters was given", err);
    case STORE_DROP:
        return obey_drop(p, err);
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
                    const char *who, int64_t *ret_id)
{
    pthread_mutex_lock(&p->status_lock);
    bool free = p->order.command == STORE_NO_COMMAND;
    if (free) {
        /* The time serves as id because it is new after a reload as well: the answer to an order of
         * the instance before must not be taken for the answer to this one. */
        p->order.id = *ret_id = clock_mono_us();
        p->order.command = command;
        snprintf(p->order.argument, sizeof p->order.argument, "%s", argument);
        snprintf(p->order.who, sizeof p->order.who, "%s", who);
    }
    pthread_mutex_unlock(&p->status_lock);
    return free;
}

/* Only a pause or its end can be obeyed: all else needs the database. The pipeline's own state says
 * what is wrong. While the store is there and the sink still recovers, an order waits. One without
 * a daemon has time, too. */
void control_without_store(struct pipeline *p)
{
    struct error none;
    bool patient = p->parts.one_order && p->status.state == PIPELINE_RETRYING &&
                   !nothing_for_long(p, p->upstream.first_failed_at_us);
    if (p->draining || p->ended || p->settling || p->store_ready || patient || !take_order(p)) {
        return;
    }
    if (p->status.state == PIPELINE_WAITING) {
        (void)answer(p, PIPELINE_ELSEWHERE, &none);
    } else if (p->control.command != STORE_PAUSE && p->control.command != STORE_RESUME) {
        char text[sizeof p->status.order_answer];
        snprintf(text, sizeof text, "refused: the pipeline is %s: %.400s",
                 pipeline_state_name(p->status.state), p->status.detail);
        (void)answer(p, text, &none);
    } else {
        bool was = p->paused;
        take_pause(p, p->control.command == STORE_PAUSE);
        acts_paused(p, was, p->paused);
        (void)answer_unstored(p);
    }
}

int control_poll(struct pipeline *p, struct error *err)
{
    bool in_hand = redrive_under_way(&p->redrive); /* also a drain finishes this one */
    if (p->progress.saving || (p->draining && !in_hand) || p->ended || p->parts.replay) {
        return RESULT_DONE;
    }
    if (p->settling) {
        return obey_settled(p, err);
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
