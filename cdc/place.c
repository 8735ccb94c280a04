/* Where the source stands: cursors for the store, positions for people. */
#include "base/log.h"
#include "cdc/internal.h"
#include "cdc/stream/lsn.h"

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
    if (cdc_cursor_parse(cursor, &c, &ignored)) {
        return;
    }
    if (c.commit == 0) {
        lsn_add(out, c.start);
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

int cdc_resumes(void *source, struct slice cursor, struct error *err)
{
    const struct cdc_source *s = source;
    struct stream_identity identity = {0};
    struct cdc_cursor c;
    uint64_t first = 0;
    char begin[LSN_TEXT_SIZE], beginning[LSN_TEXT_SIZE];
    if (cdc_cursor_parse(cursor, &c, err) || identify(s, &identity, err) ||
        beginning_of_slot(s, &first, err)) {
        return RESULT_ERROR;
    }
    if (c.system_id != identity.system_id) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "cdc",
            "the position of pipeline %s is of another cluster, so it means nothing here: choose with `position set ... --yes` where to go on",
            s->env->pipeline);
    }
    if (first != 0 && c.start >= first) {
        return RESULT_DONE;
    }
    lsn_format(c.start, begin);
    lsn_format(first, beginning);
    return error_exit(
        err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "cdc",
        "position %s is before what slot \"%s\" still has: what was confirmed cannot be read again; the first position is %s, `beginning`. For events before it read the tables again (`snapshot: always`), or send outbox rows again that are still there",
        begin, s->slot, first ? beginning : "unknown, for there is no such slot");
}

/* --- without a stream --- */

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
    cdc_lag_of_state(&state, s->slot, c.start ? c.start : state.confirmed, ret);
    return RESULT_DONE;
}
