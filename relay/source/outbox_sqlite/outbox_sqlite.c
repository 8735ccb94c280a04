/*
 * The source outbox_sqlite: reads an outbox table in a SQLite file. This file starts it, and has
 * the polling and the lag. Reads are short statements of their own, so that no
 * checkpoint waits for the relay. Each read looks whether the file was replaced.
 *
 * SQLite has one writer at a time. So with AUTOINCREMENT the order of row ids is the order of
 * commits, and no later commit can add a row below one that was read.
 */
#include "source/outbox_sqlite/internal.h"

#include <stdio.h>
#include <string.h>

enum {
    FIRST_INTERVAL_US =
        1000, /* after a sign of a write: it is noticed before its commit is visible */
    LAG_INTERVAL_US = 1000 * 1000,
    LAG_EXACT = 10000
};

static int number(struct sqlite_stmt *stmt, int64_t *ret, struct error *err)
{
    bool row;
    if (sqlite_step(stmt, &row, err)) {
        return RESULT_ERROR;
    }
    *ret = row ? sqlite_int(stmt, 0) : 0;
    if (row) {
        sqlite_reset(stmt);
    }
    return RESULT_DONE;
}

static int outbox_start(void *source, struct slice cursor, int64_t epoch, struct error *err)
{
    struct outbox_sqlite *s = source;
    outbox_sqlite_disconnect(s);
    outbox_sqlite_held_clear(&s->held);
    s->acks_count = s->acks_done = 0;
    s->caught_up = false;
    s->probe = true;
    s->read_wait.since_us = s->ack_wait.since_us = 0;
    s->interval_us = FIRST_INTERVAL_US;
    s->epoch = epoch;
    s->pending = -1;
    s->pending_at_us = 0;
    s->oldest_us = TIME_NONE;
    if (outbox_sqlite_connect(s, err)) {
        return RESULT_ERROR;
    }
    return outbox_sqlite_resume(s, cursor, err);
}

static void outbox_poll_fds(void *source, struct poll_set *set)
{
    struct outbox_sqlite *s = source;
    if (s->read_wait.since_us != 0) {
        poll_set_deadline(set, s->read_wait.next_us);
        return; /* nothing can be read before the lock is free */
    }
    if (s->caught_up) {
        /* Just after a sign of a write only the timer counts. It looks every millisecond, which is
         * enough for any number of commits; inotify would wake the relay for each write. */
        if (s->interval_us > FIRST_INTERVAL_US) {
            poll_set_add(set, s->watch.fd, POLLIN);
        }
        poll_set_deadline(set, s->next_poll_us);
    }
}

/* Deletes go on one chunk per round of the pipeline, so that other writers get the database in
 * between. */
static void outbox_ack_fds(void *source, struct poll_set *set)
{
    struct outbox_sqlite *s = source;
    poll_set_deadline(set, s->ack_wait.since_us ? s->ack_wait.next_us : 0);
}

/* Nothing is new. The next look is 1 ms after a sign of a write, and each further wait is twice as
 * long, up to poll_interval. */
static void nothing_new(struct outbox_sqlite *s, bool sign_of_life)
{
    int64_t now = clock_mono_us();
    if (sign_of_life) {
        s->interval_us = FIRST_INTERVAL_US;
    } else if (now < s->next_poll_us) {
        return;
    } else {
        s->interval_us *= 2;
    }
    if (s->interval_us > s->conf->poll_interval_us) {
        s->interval_us = s->conf->poll_interval_us;
    }
    s->next_poll_us = now + s->interval_us;
}

/* After ALTER TABLE, or DROP and CREATE, what was found out at start may be wrong: inspects the
 * table again. */
static int follow_schema(struct outbox_sqlite *s, struct error *err)
{
    int64_t schema;
    if (number(s->schema_version, &schema, err)) {
        return RESULT_ERROR;
    }
    return schema == s->seen_schema ? RESULT_DONE : outbox_sqlite_look(s, err);
}

/* Measures how many rows are still to be read: exact up to LAG_EXACT, above it from the distance
 * between row ids. */
static int measure_lag(struct outbox_sqlite *s, struct error *err)
{
    int64_t now = clock_mono_us(), n, highest;
    if (now - s->pending_at_us < LAG_INTERVAL_US) {
        return RESULT_DONE;
    }
    bool pages = s->table.by_key;
    sqlite_bind_int(s->count, 1, pages ? s->last : INT64_MIN);
    sqlite_bind_int(s->count, 2, LAG_EXACT + 1 + (pages ? 0 : (int64_t)s->held.count));
    if (number(s->count, &n, err)) {
        return RESULT_ERROR;
    }
    n -= pages ? 0 : (int64_t)s->held.count;
    if (n > LAG_EXACT && pages) {
        if (sqlite_query_int(s->db, s->table.highest, 0, &highest, err)) {
            return RESULT_ERROR;
        }
        n = highest > s->last && s->last >= 0 ? highest - s->last : n;
    }
    s->pending = n < 0 ? 0 : n;
    s->pending_at_us = now;
    return RESULT_DONE;
}

static int read_changes(struct outbox_sqlite *s, int64_t version, struct batch *batch,
                        size_t max_events, size_t max_bytes, struct error *err)
{
    if (follow_schema(s, err)) {
        return RESULT_ERROR;
    }
    int r = s->mode->read(s, version, batch, max_events, max_bytes, err);
    if (batch->count > 0) {
        /* Rows read before a failure are given; the next read meets the failure again. */
        s->caught_up = false;
        s->oldest_us = batch->events[0].created_at_us;
        return batch->count < max_events || r ? RESULT_DONE : measure_lag(s, err);
    }
    if (r) {
        return r;
    }
    s->seen_version = version;
    s->pending = 0;
    s->oldest_us = TIME_NONE;
    if (!s->caught_up) {
        s->caught_up = true;
        nothing_new(s, true);
    }
    return outbox_sqlite_check_sequence(s, s->last, err);
}

static int outbox_read(void *source, struct batch *batch, size_t max_events, size_t max_bytes,
                       struct error *err)
{
    struct outbox_sqlite *s = source;
    size_t limit = (size_t)s->conf->batch_size;
    int64_t version;
    if (sqlite_replaced(s->db)) {
        error_set(err, ERROR_RETRY, "sqlite",
                  "SQLite database \"%s\" was deleted or replaced; it is opened again",
                  s->conf->path);
        return error_code(err, "replaced");
    }
    if (number(s->data_version, &version, err)) {
        return outbox_sqlite_busy(s, &s->read_wait, err);
    }
    if (s->caught_up && version == s->seen_version) {
        s->read_wait.since_us = 0;
        nothing_new(s, outbox_sqlite_watch_take(&s->watch));
        return RESULT_DONE;
    }
    (void)outbox_sqlite_watch_take(&s->watch);
    if (read_changes(s, version, batch, limit < max_events ? limit : max_events, max_bytes, err) !=
        RESULT_DONE) {
        return outbox_sqlite_busy(s, &s->read_wait, err);
    }
    s->read_wait.since_us = 0;
    return RESULT_DONE;
}

static int outbox_idle(void *source, bool *ret_idle, struct error *err)
{
    (void)err;
    const struct outbox_sqlite *s = source;
    *ret_idle = s->caught_up;
    return RESULT_DONE;
}

static void outbox_lag(void *source, struct source_lag *ret)
{
    const struct outbox_sqlite *s = source;
    ret->pending_events = s->pending;
    ret->oldest_us = s->oldest_us;
    outbox_sqlite_wait_tell(&s->read_wait, &s->ack_wait, s->conf->path, clock_mono_us(),
                            ret->held_up, sizeof ret->held_up);
}

const struct source_ops source_outbox_sqlite = {
    .name = "outbox_sqlite",
    .help = "an outbox table in a SQLite file",
    .keys = outbox_sqlite_keys,
    .conf_size = sizeof(struct outbox_sqlite_conf),
    .url = {.value = sqlite_url_path, .key = "path"},
    .store_url = outbox_sqlite_store_url,
    .clash = outbox_sqlite_clash,
    .timeouts = outbox_sqlite_timeouts,
    .rows = outbox_sqlite_rows,
    .prune = &outbox_sqlite_prune,
    .open = outbox_sqlite_open,
    .start = outbox_start,
    .poll_fds = outbox_poll_fds,
    .read = outbox_read,
    .cursor = outbox_sqlite_cursor,
    .ack = outbox_sqlite_ack,
    .ack_fds = outbox_ack_fds,
    .close = outbox_sqlite_close,
    .accepts = outbox_sqlite_accepts,
    .position = outbox_sqlite_position,
    .resumes = outbox_sqlite_resumes,
    .describe = outbox_sqlite_describe,
    .idle = outbox_idle,
    .lag = outbox_lag,
    .frontier = outbox_sqlite_frontier,
    .survey = outbox_sqlite_survey,
    .recent = outbox_sqlite_recent,
    .holds = outbox_sqlite_holds,
    .check = outbox_sqlite_check,
};
