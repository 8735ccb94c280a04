/*
 * What a pipeline has delivered. A row does not say where its commit lies in the WAL.
 *
 * For `replay` of an outbox a snapshot and the end of the WAL are noted at one moment: once the
 * stored cursor has passed that end, all that the snapshot shows is delivered. For `verify` of
 * table changes the snapshot is that of a temporary slot, so its moment is an exact place: what
 * committed before the slot's consistent point is in it, and nothing else.
 */
#include "cdc/internal.h"
#include "cdc/stream/lsn.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The text begins as "<snapshot> <LSN>" and ends as the snapshot. */
static int note_moment(struct cdc_source *s, struct buf *out, struct error *err)
{
    struct pg *c = NULL;
    struct pg_result *r = NULL;
    if (cdc_connect_sql(s, &c, err)) {
        return RESULT_ERROR;
    }
    int rc = pg_query(c, "select pg_current_snapshot()::text || ' ' || pg_current_wal_insert_lsn()",
                      0, NULL, &r, err);
    if (rc == RESULT_DONE) {
        buf_add_slice(out, pg_value(r, 0, 0));
    }
    pg_result_free(r);
    pg_close(c);
    return rc;
}

/* The pipeline has delivered all that the rows of this source show. Its own initial snapshot has to
 * be over, too: the rows of an interrupted one are newer than their ids say. */
static int judge_moment(const struct cdc_source *s, struct slice cursor, struct error *err)
{
    struct cdc_cursor at = {0};
    char moment[LSN_TEXT_SIZE];
    if (!slice_is_null(cursor) && cdc_cursor_parse(cursor, &at, err)) {
        return RESULT_ERROR;
    }
    if (!slice_is_null(cursor) && at.system_id != s->identity.system_id) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "cdc",
            "the position of pipeline %s is of another cluster, so it does not say what of this one is delivered",
            s->env->pipeline);
    }
    if (at.start >= s->txn.start && slice_is_null(at.snapshot)) {
        return RESULT_DONE;
    }
    lsn_format(s->txn.start, moment);
    if (at.start >= s->txn.start) {
        error_set_text(err, ERROR_RETRY, "cdc",
                       "pipeline %s has not ended its initial snapshot: wait until it has",
                       s->env->pipeline);
    } else {
        error_set_text(
            err, ERROR_RETRY, "cdc",
            "pipeline %s has not delivered all that the rows show (WAL up to %s): start it, "
            "or wait until it has caught up",
            s->env->pipeline, moment);
    }
    return RESULT_AGAIN;
}

int cdc_frontier(void *source, struct slice cursor, struct buf *out, struct error *err)
{
    struct cdc_source *s = source;
    struct cdc_cursor at = {0};
    uint64_t wanted;
    if (cdc_reads_tables(s)) {
        return judge_moment(s, cursor, err);
    }
    if (s->conf->as == CDC_AS_CHANGES) {
        return error_set(
            err, ERROR_CONFIG, "cdc",
            "pipeline %s sends changes, which the server forgets once they are delivered: there is nothing to send again. `snapshot: always` sends the tables' present rows at the next start (docs/REPLAY.md)",
            s->env->pipeline);
    }
    if ((out->len == 0 && note_moment(s, out, err)) ||
        (!slice_is_null(cursor) && cdc_cursor_parse(cursor, &at, err))) {
        return RESULT_ERROR;
    }
    const char *blank = strchr(buf_str(out), ' ');
    if (!blank || !lsn_parse(slice_from(blank + 1), &wanted)) {
        return error_set(err, ERROR_FATAL, "cdc", "the server's snapshot is not readable");
    }
    if (at.start < wanted) {
        error_set_text(err, ERROR_RETRY, "cdc",
                       "pipeline %s has not delivered all that was committed when the replay was "
                       "asked for (WAL up to %s): start it, or wait until it has caught up",
                       s->env->pipeline, blank + 1);
        return RESULT_AGAIN;
    }
    out->len = (size_t)(blank - buf_str(out));
    out->data[out->len] = '\0';
    return RESULT_DONE;
}

void cdc_polled(const void *conf, struct source_polled *ret)
{
    const struct cdc_conf *c = conf;
    const struct {
        const char *key, *name;
        bool given;
    } columns[] = {{"id", c->columns.id, true},
                   {"aggregatetype", c->columns.aggregatetype, true},
                   {"aggregateid", c->columns.aggregateid, true},
                   {"type", c->columns.type, true},
                   {"payload", c->columns.payload, true},
                   {"headers", c->columns.headers, c->columns.headers_given},
                   {"created_at", c->columns.created_at, c->columns.created_at_given},
                   {"seq", c->columns.seq, true},
                   {"xid", c->columns.xid, true}};
    *ret = (struct source_polled){.url = c->url, .table = c->table};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        if (columns[i].given) {
            ret->columns[ret->count].key = columns[i].key;
            ret->columns[ret->count++].name = columns[i].name;
        }
    }
}

/* Takes what comes before the next colon off the front of *text. False: there is none. */
static bool take_part(struct slice *text, struct slice *ret)
{
    const char *colon = text->len ? memchr(text->ptr, ':', text->len) : NULL;
    if (!colon) {
        return false;
    }
    *ret = (struct slice){text->ptr, (size_t)(colon - text->ptr)};
    *text = (struct slice){colon + 1, text->len - ret->len - 1};
    return true;
}

static bool take_number(struct slice text, uint64_t *ret)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)text.ptr[i] - '0';
        if (digit > 9 || n > (UINT64_MAX - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    *ret = n;
    return text.len > 0;
}

/* Eight digits. A TRUNCATE has a part for each of its tables. */
static const uint64_t PART_MAX = 99999999;

/* An event's id is "<system id>:<commit LSN>:<ordinal>[.<part>]" (intake_place), a row's
 * "<system id>:<LSN of the snapshot>:<table>:<key>" (initial.c). A row of a snapshot comes before
 * what the stream has from there on. Events of another cluster come before all of this one, from
 * which the tables are now. */
enum source_when cdc_when(void *source, struct slice id, char out[SOURCE_WHEN_SIZE])
{
    const struct cdc_source *s = source;
    struct slice system, place;
    uint64_t system_id, lsn, ordinal = 0, part = 0;
    enum source_when foreign = intake_reads_bodies(&s->intake) ? SOURCE_NO_CHANGE : SOURCE_NOT_OURS;
    if (!take_part(&id, &system) || !take_part(&id, &place) || !take_number(system, &system_id) ||
        !lsn_parse(place, &lsn)) {
        return foreign;
    }
    bool row = memchr(id.ptr, ':', id.len) != NULL, ours = system_id == s->identity.system_id;
    const char *dot = memchr(id.ptr, '.', id.len);
    struct slice first = {id.ptr, dot ? (size_t)(dot - id.ptr) : id.len};
    if (!row && (!take_number(first, &ordinal) ||
                 (dot && !take_number((struct slice){dot + 1, id.len - first.len - 1}, &part)) ||
                 part > PART_MAX)) {
        return foreign;
    }
    snprintf(out, SOURCE_WHEN_SIZE, "%d%016" PRIx64 "%016" PRIx64 "%08" PRIu64, ours, lsn, ordinal,
             part);
    return ours && lsn >= s->txn.start ? SOURCE_AFTER : SOURCE_BEFORE;
}
