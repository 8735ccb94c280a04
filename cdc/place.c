/* Where the source stands: cursors for the store, positions for people, and the lag for status and
 * metrics. */
#include "base/log.h"
#include "cdc/internal.h"
#include "cdc/stream/lsn.h"

#include <inttypes.h>
#include <stdio.h>

/* --- cursor --- */

void cdc_cursor(void *source, const struct batch *batch, size_t index, struct buf *out)
{
    const struct cdc_source *s = source;
    struct cdc_cursor c = {.system_id = s->identity.system_id,
                           .timeline = s->identity.timeline,
                           .options = s->options};
    struct txn_place behind;
    if (batch && index < batch->count) {
        const struct mark *m = batch->events[index].origin;
        c.start = m->start;
        c.last = m->last;
        c.snapshot = m->snapshot;
        behind = m->behind;
    } else {
        c.start = s->txn.start;
        c.last = s->txn.last_end;
        c.snapshot = s->snapshot && !s->snapshot_ended ? buf_slice(&s->snapshot_text) : SLICE_NULL;
        behind = txn_place_now(&s->txn);
    }
    c.commit = behind.commit;
    c.ordinal = behind.ordinal;
    c.part = behind.part;
    cdc_cursor_format(&c, out);
}

void cdc_describe(struct slice cursor, struct buf *out)
{
    struct cdc_cursor c;
    struct error ignored;
    char lsn[LSN_TEXT_SIZE];
    if (cdc_cursor_parse(cursor, &c, &ignored)) {
        return;
    }
    if (c.commit == 0) {
        buf_add(out, lsn, lsn_format(c.start, lsn));
    } else if (c.part > 0) {
        cdc_position_format(c.commit, c.ordinal + 1, c.part - 1, out);
    } else {
        cdc_position_format(c.commit, c.ordinal, 0, out);
    }
    if (!slice_is_null(c.snapshot)) {
        buf_add_str(out, ", in the initial snapshot");
    }
}

/* --- positions --- */

/* An event position means the place behind that event. In the cursor that is: all changes before
 * this one, and its messages up to this one. */
bool cdc_place_parse(const char *text, struct cdc_cursor *ret)
{
    struct cdc_cursor c = {0};
    uint64_t ordinal;
    uint32_t part;
    if (lsn_parse(slice_from(text), &c.start)) {
        *ret = c;
        return true;
    }
    if (!cdc_position_parse(text, &c.start, &ordinal, &part)) {
        return false;
    }
    if (ordinal > 0) {
        c.commit = c.start;
        c.ordinal = ordinal - 1;
        c.part = part + 1;
    }
    *ret = c;
    return true;
}

/* The first position that the slot can still give; 0: there is no slot. While the stream is open,
 * the saved cursor counts as confirmed: the server is told of it at the latest when the stream is
 * closed to begin elsewhere, and then gives nothing before it. */
static int beginning_of_slot(const struct cdc_source *s, uint64_t *ret, struct error *err)
{
    struct pg *sql = NULL;
    struct pg_result *r = NULL;
    if (cdc_connect_sql(s, &sql, err)) {
        return RESULT_ERROR;
    }
    int rc = pg_query(sql,
                      "select confirmed_flush_lsn from pg_catalog.pg_replication_slots"
                      " where slot_name = $1",
                      1, (const char *const[]){s->slot}, &r, err);
    uint64_t first = 0;
    if (rc == RESULT_DONE && pg_rows(r) > 0 && lsn_parse(pg_value(r, 0, 0), &first)) {
        first = s->stream && s->saved > first ? s->saved : first;
    }
    pg_result_free(r);
    pg_close(sql);
    *ret = first;
    return rc;
}

static int identify(const struct cdc_source *s, struct stream_identity *ret, struct error *err)
{
    struct stream *stream = NULL;
    if (cdc_connect_stream(s, &stream, err)) {
        return RESULT_ERROR;
    }
    int rc = stream_identify(stream, ret, err);
    stream_close(stream);
    return rc;
}

static int judge_place(const struct cdc_source *s, const char *text, uint64_t at, uint64_t first,
                       uint64_t end, struct error *err)
{
    char beginning[LSN_TEXT_SIZE];
    lsn_format(first, beginning);
    if (first == 0) {
        return error_set(
            err, ERROR_CONFIG, "cdc",
            "there is no slot \"%s\" on this server, so no position can be read from it: SELECT pg_create_logical_replication_slot('%s', 'pgoutput') first; what was committed until then is not in it",
            s->slot, s->slot);
    }
    if (at < first) {
        return error_set(
            err, ERROR_CONFIG, "cdc",
            "position %s is before what slot \"%s\" still has: what was confirmed cannot be read again; the first position is %s, `beginning`",
            text, s->slot, beginning);
    }
    if (at > end) {
        return error_set(
            err, ERROR_CONFIG, "cdc",
            "position %s is ahead of the server, which would pass over everything up to it; `now` is the end of its WAL",
            text);
    }
    return RESULT_DONE;
}

int cdc_position(void *source, const char *text, struct buf *ret_cursor, struct error *err)
{
    const struct cdc_source *s = source;
    struct cdc_cursor c = {0};
    struct stream_identity identity = {0};
    bool now = strcmp(text, "now") == 0, beginning = strcmp(text, "beginning") == 0;
    if (s->env->observe) {
        if (!now) {
            return error_set(
                err, ERROR_CONFIG, "cdc",
                "changes are shown from now on: WAL that went by cannot be looked at without moving a slot");
        }
        cdc_cursor_format(&c, ret_cursor);
        return RESULT_DONE;
    }
    if (!now && !beginning && !cdc_place_parse(text, &c)) {
        return error_set(
            err, ERROR_CONFIG, "cdc",
            "\"%s\" is no position in the WAL: give beginning (of the slot), now, an LSN like 16/B374D848, or an event position like 16/B374D848:3",
            text);
    }
    uint64_t first = 0;
    if (identify(s, &identity, err) || beginning_of_slot(s, &first, err)) {
        return RESULT_ERROR;
    }
    if (now || beginning) {
        c.start = now ? identity.flush_lsn : first;
    }
    if (judge_place(s, text, c.start, first, identity.flush_lsn, err)) {
        return RESULT_ERROR;
    }
    c.system_id = identity.system_id;
    c.timeline = identity.timeline;
    c.options = s->options;
    cdc_cursor_format(&c, ret_cursor);
    /* How far the snapshot came is in the cursor that this one replaces, so it cannot go on. */
    if (s->snapshot && !s->snapshot_ended && s->env->note &&
        cdc_conf_snapshot(s->conf) != CDC_SNAPSHOT_ALWAYS) {
        s->env->note(
            s->env->note_ctx, LOG_WARN,
            "the rest of the initial snapshot will not be read, for another position was set; `snapshot: always` reads all tables with a key again");
    }
    return RESULT_DONE;
}

/* --- how far behind --- */

static int64_t distance(uint64_t from, uint64_t to)
{
    return from == 0 || to == 0 ? -1 : to > from ? (int64_t)(to - from) : 0;
}

static void lag_of_state(const struct slot_state *state, const char *slot, uint64_t delivered,
                         struct source_lag *ret)
{
    if (state->wal_status == WAL_SLOT_MISSING) {
        snprintf(ret->held_up, sizeof ret->held_up, "replication slot %s does not exist", slot);
        ret->slot_lost = delivered != 0; /* before the first start there is none yet */
        return;
    }
    ret->lag_bytes = distance(delivered, state->current);
    ret->slot_retained_bytes = state->retained_bytes;
    ret->slot_limit_bytes = state->limit_bytes;
    ret->slot_lost = state->wal_status == WAL_LOST;
    if (ret->slot_lost) {
        snprintf(
            ret->held_up, sizeof ret->held_up,
            "slot %s is lost%s%s: the server has removed WAL that was not read, so changes are missing",
            slot, state->invalidation[0] ? ", " : "", state->invalidation);
    } else if (state->wal_status == WAL_UNRESERVED) {
        snprintf(ret->held_up, sizeof ret->held_up,
                 "slot %s is about to be lost: it keeps %" PRId64
                 " bytes of WAL and may keep %" PRId64 " (max_slot_wal_keep_size)",
                 slot, state->retained_bytes, state->limit_bytes);
    }
}

/* Commit time of the transaction that is being received; 0: none. After a reconnect, until the
 * first state of the slot is known, it is the one that was under way before: the new stream may
 * fail at the same transaction, and the lag must not seem to be gone in between. */
static int64_t waits_since(const struct cdc_source *s)
{
    bool begun = s->stream && (s->txn.open || stream_behind(s->stream));
    if (begun && s->txn.commit_us != 0) {
        return s->txn.commit_us;
    }
    return begun || s->side.told_n == 0 ? s->waiting_us : 0;
}

void cdc_keep_lag(struct cdc_source *s)
{
    s->waiting_us = waits_since(s);
    if (s->side.told_n > 0) {
        s->slot_state = s->side.state;
        s->slot_told = true;
    }
}

/* While the source is not connected, this tells what was known last. That is when the slot makes
 * the server keep more and more WAL, so the numbers must not vanish then. */
void cdc_lag(void *source, struct source_lag *ret)
{
    const struct cdc_source *s = source;
    struct slot_state state = s->side.told_n > 0 ? s->side.state : s->slot_state;
    int64_t waiting = waits_since(s);
    ret->pending_events = -1;
    if (s->side.told_n > 0 || s->slot_told) {
        uint64_t heard = s->stream ? stream_wal_end(s->stream) : 0;
        state.current = heard > state.current ? heard : state.current;
        lag_of_state(&state, s->slot, s->saved, ret);
    }
    if (waiting != 0) {
        ret->oldest_us = waiting;
    }
    if (s->snapshot && !s->snapshot_ended) {
        snapshot_progress(s->snapshot, ret->progress, sizeof ret->progress);
    }
}

static int wait_state(struct pg *sql, struct slot_state *ret, struct error *err)
{
    int rc;
    while ((rc = slot_state_take(sql, ret, err)) == RESULT_AGAIN) {
        struct poll_set set;
        poll_set_clear(&set);
        pg_poll_fds(sql, &set);
        poll_set_deadline(&set, clock_mono_us() + US_PER_SECOND);
        poll_set_wait(&set);
    }
    return rc;
}

int cdc_ask_state(const struct cdc_source *s, struct pg *sql, struct slot_state *ret,
                  struct error *err)
{
    return slot_state_send(sql, s->slot, s->publication, err) ? RESULT_ERROR
                                                              : wait_state(sql, ret, err);
}

int cdc_look(void *source, struct slice cursor, struct source_lag *ret, struct error *err)
{
    const struct cdc_source *s = source;
    struct cdc_cursor c = {0};
    struct slot_state state;
    struct pg *sql = NULL;
    if ((cursor.len > 0 && cdc_cursor_parse(cursor, &c, err)) || cdc_connect_sql(s, &sql, err)) {
        return RESULT_ERROR;
    }
    int rc = cdc_ask_state(s, sql, &state, err);
    pg_close(sql);
    if (rc) {
        return rc;
    }
    ret->pending_events = -1;
    lag_of_state(&state, s->slot, c.start ? c.start : state.confirmed, ret);
    return RESULT_DONE;
}
