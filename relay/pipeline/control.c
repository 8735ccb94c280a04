/* Obeys the commands of an operator: pause, resume, position set, snapshot, and retry and drop of
 * dead letters. A command that comes through the daemon's socket (pipeline_order) is answered in
 * the status. One that comes through the control row of the store is answered in that row. */
#include "pipeline/internal.h"

#include "base/fault.h"
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

/* The cursor that an order about snapshots makes of the one that is saved. */
static int cursor_with_snapshot(struct pipeline *p, struct buf *ret, struct buf *said,
                                struct error *err)
{
    if (!p->parts.source->obey) {
        return error_set(err, ERROR_CONFIG, "pipeline", "its source takes no snapshots");
    }
    if (p->progress.cursor.len == 0) {
        return error_set(err, ERROR_CONFIG, "pipeline",
                         "no position is stored yet; ask again once the pipeline has begun");
    }
    return p->parts.source->obey(p->source, buf_slice(&p->progress.cursor), p->control.argument,
                                 ret, said, err);
}

static int new_cursor(struct pipeline *p, struct buf *ret, struct buf *said, struct error *err)
{
    if (p->control.command == STORE_SNAPSHOT) {
        return cursor_with_snapshot(p, ret, said, err);
    }
    buf_printf(said, "position set to %s", p->control.argument);
    return cursor_of(p, p->control.argument, ret, err);
}

static int start_source_anew(struct pipeline *p, struct buf *said, struct error *err)
{
    CLEANUP(buf_release) struct buf cursor = {0};
    if (new_cursor(p, &cursor, said, err)) {
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

static int refuse(struct pipeline *p, const struct error *why, struct error *err)
{
    char text[sizeof p->status.order_answer];
    snprintf(text, sizeof text, "refused: %.480s", why->text);
    p->settling = false;
    buf_clear(&p->position_before);
    if (p->dropped) { /* read again what was forgotten: the events after the frontier */
        upstream_down(p);
    }
    return answer(p, text, err);
}

/* Starts the source at the new cursor, of another position or with a snapshot to take, once
 * everything that was put is settled and saved; until then it is called again in each round. */
static int obey_cursor(struct pipeline *p, struct error *err)
{
    CLEANUP(buf_release) struct buf said = {0};
    room_drop_waiting(p);
    if (!settle_done(p) || park_flow_in_hand(p)) {
        return RESULT_DONE;
    }
    if (p->position_before.len == 0) {
        acts_describe(p, buf_slice(&p->progress.cursor), &p->position_before);
    }
    p->settling = p->ordered; /* an order is tried again after a failure; the row stays there */
    if (start_source_anew(p, &said, err)) {
        const struct error why = *err;
        return why.class == ERROR_CONFIG ? refuse(p, &why, err) : RESULT_ERROR;
    }
    p->settling = p->poisoned = false;
    if (p->control.command == STORE_SNAPSHOT) {
        fault_point("snapshot_ordered");
        acts_snapshot(p, buf_str(&said));
    } else {
        acts_position_set(p, buf_str(&p->position_before));
    }
    buf_clear(&p->position_before);
    return answer(p, buf_str(&said), err);
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

/* After a failure it is called again, and goes on with the letter at which it was. */
static int obey_drop(struct pipeline *p, struct error *err)
{
    struct redrive *r = &p->redrive;
    char text[128];
    for (; r->next < r->count; r->next++) {
        int64_t id = r->letters[r->next];
        bool done;
        if (letter_tell_source(p, id, false, err) ||
            p->parts.store->dead_letter_close(p->store, id, STORE_LETTER_DROPPED, -1,
                                              clock_wall_us(), &done, err)) {
            return RESULT_ERROR;
        }
        if (done) {
            park_letter_closed(p, id);
            acts_letter(p, "dead_letter_drop", p->control.who, id, STORE_LETTER_DROPPED);
        }
        r->unchanged += !done;
    }
    if (letter_count(p, err)) {
        return RESULT_ERROR;
    }
    p->settling = false;
    snprintf(text, sizeof text, "dropped: %zu; not open, so nothing was done: %zu",
             r->count - r->unchanged, r->unchanged);
    return answer(p, text, err);
}

/* An order that was begun: it waits until the pipeline is settled, or goes on after a failure. */
static int obey_begun(struct pipeline *p, struct error *err)
{
    switch (p->control.command) {
    case STORE_RETRY:
        return obey_retry(p, err);
    case STORE_DROP:
        return obey_drop(p, err);
    default:
        return obey_cursor(p, err);
    }
}

static int begin_letters(struct pipeline *p, struct error *err)
{
    p->settling = redrive_begin(p, p->control.argument);
    if (!p->settling) {
        return answer(p, "refused: no list of dead letters was given", err);
    }
    return p->control.command == STORE_DROP ? obey_drop(p, err) : RESULT_DONE;
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
    case STORE_SNAPSHOT:
        p->settling = true;
        return RESULT_DONE;
    case STORE_RETRY:
    case STORE_DROP:
        return begin_letters(p, err);
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
        return obey_begun(p, err);
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
