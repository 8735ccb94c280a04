/* Starts the two sides of a pipeline. Upstream: take the lock and load the cursor from the store,
 * let a committing sink find out what an interrupted commit left behind, start the source.
 * Downstream: start the sink. */
#include "pipeline/internal.h"

#include "base/fault.h"
#include "base/log.h"
#include "pipeline/letter.h"
#include "pipeline/room.h"
#include "pipeline/side.h"
#include "pipeline/status.h"

/* How long events in flight may take to settle after the database went away, before they are given
 * up and read again. */
static const int64_t SETTLE_PATIENCE_US = 5 * US_PER_SECOND;
/* How often to look meanwhile. */
static const int64_t SETTLE_LOOK_US = 20 * US_PER_MS;
/* The longest silence of the store's connection while the sink recovers. */
static const int64_t STORE_SILENCE_US = US_PER_SECOND / 2;

/* Before the source is started nothing may be in hand that is not settled: the source will read all
 * that again, and it would be delivered twice. Waits a while for open events to settle (AGAIN),
 * then gives them up. DONE: only settled events are left. */
static int empty_hands(struct pipeline *p)
{
    if (ledger_open_count(p->ledger) > 0) {
        bool commits = p->sink_caps & SINK_COMMITS;
        bool patient = clock_mono_us() - p->upstream.failed_at_us < SETTLE_PATIENCE_US;
        /* A committing sink: a commit that is under way ends by itself, so wait for it; a file that
         * is not being committed can be thrown away. */
        if (p->downstream.ready && (commits ? p->committing : patient)) {
            return RESULT_AGAIN;
        }
        p->downstream.ready = false;
        room_rewind(p);
    }
    settle_take(p);
    room_drop_waiting(p);
    settle_cursor(p);
    return RESULT_DONE;
}

/* AGAIN: another relay holds the lock. */
static int take_lock(struct pipeline *p, struct error *err)
{
    struct store_position *stored = &p->stored;
    buf_release(&stored->cursor);
    *stored = (struct store_position){0};
    if (p->parts.replay) { /* beside the relay that holds the lock */
        return p->parts.store->replay_start(p->store, p->parts.replay->id, stored, err);
    }
    int rc = p->parts.store->start(p->store, stored, err);
    if (rc == RESULT_AGAIN) {
        pipeline_enter(p, PIPELINE_WAITING, err->text);
        p->upstream.retry_at_us = clock_mono_us() + US_PER_SECOND;
        if (out_of_patience(p, p->upstream.failed_at_us)) {
            return error_exit(err, ERROR_FATAL, EXIT_CODE_GAVE_UP, "store",
                              "gave up waiting: another relay holds the lock of pipeline %s",
                              p->name);
        }
    }
    return rc;
}

/* Chooses between the stored cursor and the one in memory. Normally it is the stored one. The one
 * in memory is better if no other relay has started since this one did (the epoch is exactly one
 * higher): it knows of events that are delivered and not saved yet. But after a crash of the server
 * with synchronous_commit off, commits may be lost (SOURCE_VOLATILE): the server gives the same seq
 * to new rows, and the cursor in memory would skip them. */
static void adopt(struct pipeline *p, const struct store_position *stored)
{
    bool gone = stored->server_restarted && (p->source_caps & SOURCE_VOLATILE);
    bool continued = p->epoch != 0 && stored->epoch == p->epoch + 1 && !gone;
    p->epoch = stored->epoch;
    if (continued) {
        return;
    }
    progress_adopt(&p->progress, buf_slice(&stored->cursor), stored->delivered);
    /* The delivery numbers have changed too, so the sink has to be recovered and started again. */
    p->sink_recovered = p->downstream.ready = false;
    redrive_look_again(p, true);
    park_flow_look_again(p, true);
}

/* Refuses a stored position that cannot be right, for example after a faulty restore: going on from
 * it would send every event again, or none. */
static int check_stored(const struct pipeline *p, const struct store_position *stored,
                        struct error *err)
{
    if (stored->delivered > INT64_MAX) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "store",
            "the stored delivery number %lld of pipeline %s cannot be right; correct `delivered` in the relay's table of positions: to the number of the last event in the newest batch file, or to 0 for another sink",
            (long long)stored->delivered, p->name);
    }
    if (stored->cursor.len == 0 && stored->delivered > 0 && !stored->foreign) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "store",
            "pipeline %s has delivered %llu events, but its stored cursor is empty: from the beginning all of them would be sent again. Restore the relay's table of positions, or say where to go on: commitrelay position set ... --yes",
            p->name, (unsigned long long)stored->delivered);
    }
    return RESULT_DONE;
}

static void release_recovery(struct sink_recovery *r)
{
    buf_release(&r->cursor);
    buf_release(&r->last_position);
    buf_release(&r->last_id);
    arena_release(&r->arena);
}

static int start_source(struct pipeline *p, struct error *err)
{
    const struct buf *known = &p->progress.cursor;
    struct slice cursor = known->len ? buf_slice(known) : SLICE_NULL;
    if (p->parts.source->start(p->source, cursor, p->epoch, err)) {
        return RESULT_ERROR;
    }
    p->dropped = false;
    if (slice_is_null(cursor)) {
        /* Save where the source begins: from now on a restart goes on from here, even if start_from
         * is changed. */
        CLEANUP(buf_release) struct buf begin = {0}, where = {0};
        p->parts.source->cursor(p->source, NULL, SIZE_MAX, &begin);
        progress_move(&p->progress, buf_slice(&begin));
        if (p->parts.replay) {
            return RESULT_DONE;
        }
        if (p->parts.source->describe) {
            p->parts.source->describe(buf_slice(&begin), &where);
        }
        log_write(LOG_INFO, p->name, "nothing stored yet: starting from %s", buf_str(&where));
    }
    return RESULT_DONE;
}

/* An interrupted commit has reached its place, but its cursor was not saved. Its rows are to be
 * marked and its cursor to be saved now; settle_wait does it. Before that the source checks that it
 * still is the database from which the data came. */
static int finish_recovered(struct pipeline *p, struct sink_recovery *r, struct error *err)
{
    const struct source_ops *source = p->parts.source;
    if (r->dead_letter == 0 && source->accepts &&
        source->accepts(p->source, buf_slice(&r->cursor), buf_slice(&r->last_position),
                        buf_slice(&r->last_id), err)) {
        return RESULT_ERROR;
    }
    /* Either it was a dead letter, or the last of some events that waited. Neither does anything if
     * it was noted before the crash. */
    bool closed = false;
    int64_t removed;
    if (r->dead_letter != 0 &&
        (letter_tell_source(p, r->dead_letter, true, err) ||
         p->parts.store->dead_letter_close(p->store, r->dead_letter, STORE_LETTER_RETRIED, -1,
                                           clock_wall_us(), &closed, err) ||
         p->parts.store->waiting_sent(p->store, 0, r->dead_letter, &removed, err))) {
        return RESULT_ERROR;
    }
    if (r->dead_letter != 0 && closed) { /* who ordered it is not known any more */
        acts_letter(p, "dead_letter_retry", NULL, r->dead_letter, STORE_LETTER_RETRIED);
    }
    for (size_t i = 0; i < r->keys_count; i++) {
        progress_add_key(&p->progress, r->keys[i]);
    }
    progress_recover(&p->progress, r->delivered);
    fault_point("recover_before_save");
    log_write(LOG_INFO, p->name, "recovered a commit up to delivery number %llu",
              (unsigned long long)r->delivered);
    return RESULT_DONE;
}

/* Asks a committing sink what an interrupted commit left behind. *ret_ahead: it has completed more
 * than is stored. The sink gets the stored delivery number, not the one in memory, which may be
 * ahead after a failure while the recovered commit was being saved. With that one the sink would
 * delete its record of the commit too early, and a crash before the next save would leave files
 * that no stored position knows of. */
static int recover_sink(struct pipeline *p, const struct store_position *at,
                        struct sink_recovery *r, bool *ret_ahead, struct error *err)
{
    struct sink_stored stored = {
        .delivered = at->delivered, .origin = at->origin, .epoch = at->epoch};
    *ret_ahead = false;
    if (!(p->sink_caps & SINK_COMMITS) || p->sink_recovered) {
        return RESULT_DONE;
    }
    int rc = p->parts.sink->recover(p->sink, &stored, r, err);
    if (rc) {
        return rc;
    }
    *ret_ahead = r->delivered > stored.delivered;
    if (*ret_ahead) {
        progress_set_cursor(&p->progress, buf_slice(&r->cursor));
    } else {
        p->parts.sink->recovered(p->sink);
    }
    return RESULT_DONE;
}

/* For one order about dead letters the source is left alone, unless something has to be marked in
 * it, or no cursor is known without it. */
static bool needs_source(struct pipeline *p, bool ahead)
{
    p->sourceless = p->parts.one_order && !ahead && p->progress.cursor.len > 0;
    p->dropped = p->dropped || p->sourceless;
    return !p->sourceless;
}

static int load_store(struct pipeline *p, struct error *err)
{
    return control_load_paused(p, err) || letter_count(p, err) ? RESULT_ERROR : RESULT_DONE;
}

static int look_again(struct pipeline *p)
{
    p->upstream.retry_at_us = clock_mono_us() + SETTLE_LOOK_US;
    return RESULT_AGAIN;
}

/* Takes the lock and what is stored. Once it is taken, and while the sink still recovers, the store
 * is only asked something from time to time: a lock with a lease is lost by silence. */
static int enter_store(struct pipeline *p, struct error *err)
{
    int64_t now = clock_mono_us();
    if (p->store_ready && now < p->store_asked_us + STORE_SILENCE_US) {
        return RESULT_DONE;
    }
    if (!p->store_ready) {
        int rc = empty_hands(p) == RESULT_AGAIN ? look_again(p) : take_lock(p, err);
        if (rc) {
            return rc;
        }
        p->store_ready = true;
        if (check_stored(p, &p->stored, err)) {
            return RESULT_ERROR;
        }
        adopt(p, &p->stored);
    }
    p->store_asked_us = now;
    return load_store(p, err);
}

int connect_upstream(struct pipeline *p, struct error *err)
{
    CLEANUP(release_recovery) struct sink_recovery recovery = {0};
    bool ahead;
    int rc = enter_store(p, err);
    rc = rc ? rc : recover_sink(p, &p->stored, &recovery, &ahead, err);
    if (rc == RESULT_AGAIN && p->store_ready) {
        return look_again(p);
    }
    if (rc) {
        return rc;
    }
    if (needs_source(p, ahead) && start_source(p, err)) {
        return RESULT_ERROR;
    }
    if (ahead && finish_recovered(p, &recovery, err)) {
        return RESULT_ERROR;
    }
    if (settle_wait(p, err) || park_load(p, err)) {
        return RESULT_ERROR;
    }
    if (ahead) {
        p->parts.sink->recovered(p->sink);
    }
    p->sink_recovered = true;
    return RESULT_DONE;
}

int connect_downstream(struct pipeline *p, struct error *err)
{
    redrive_look_again(p, false);
    park_flow_look_again(p, false);
    return p->parts.sink->start(p->sink, p->progress.delivered + 1, err);
}
