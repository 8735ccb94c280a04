/* The source cdc_postgres: the changes of a PostgreSQL database, read from its replication stream.
 * It gives what was committed, in the order of the commits. It confirms an LSN to the server only
 * when everything before it is delivered and the cursor is saved, because the server may remove the
 * WAL up to there. This file has the source's life and its timers; internal.h lists the others. */
#include "cdc/internal.h"

#include "base/fnv1a.h"
#include "base/memory.h"
#include "cdc/opening.h"

#include <stdio.h>
#include <stdlib.h>

/* How often a cursor is saved that only keepalives have moved: at once would be a write to the
 * store for each of them. */
static const int64_t MOVED_EVERY_US = US_PER_SECOND;

/* --- life --- */

/* A hash of the settings that decide which messages come and are counted: the publication,
 * `streaming`, and encode.transaction_metadata. If it differs from the cursor's, the cursor's
 * ordinal means nothing. */
static uint64_t hash_options(const struct cdc_source *s)
{
    uint64_t h = fnv1a_add(FNV1A_START, slice_from(s->publication));
    h = s->conf->streaming ? fnv1a_byte(h, 1) : h;
    return s->env->shape.transactions ? fnv1a_byte(h, 2) : h;
}

static int set_name(char out[CDC_NAME_SIZE], const char *key, const char *given,
                    const char *pipeline, struct error *err)
{
    int n = given[0] ? snprintf(out, CDC_NAME_SIZE, "%s", given)
                     : snprintf(out, CDC_NAME_SIZE, "commitrelay_%s", pipeline);
    if (n < 0 || n >= CDC_NAME_SIZE) {
        return error_set(err, ERROR_CONFIG, "config",
                         "source.%s \"%.80s...\" is longer than the 63 bytes of a name", key,
                         given);
    }
    for (char *p = out; !given[0] && *p; p++) {
        *p = *p == '-' ? '_' : *p;
    }
    return RESULT_DONE;
}

/* A slot is the server's, whatever database it is for. */
static bool source_clash(const struct pipeline_of *a, const struct pipeline_of *b,
                         struct buf *ret_what)
{
    const struct cdc_conf *one = a->conf, *two = b->conf;
    char slot[CDC_NAME_SIZE], other[CDC_NAME_SIZE];
    struct error ignored;
    bool clash = !set_name(slot, "slot", one->slot, a->name, &ignored) &&
                 !set_name(other, "slot", two->slot, b->name, &ignored) &&
                 strcmp(slot, other) == 0 && pg_same_server(one->url, two->url, false);
    if (clash) {
        buf_printf(ret_what, "source.slot %s", slot);
    }
    return clash;
}

static void source_close(void *source);

static int source_open(const void *conf, const struct source_env *env, void **ret,
                       unsigned *ret_caps, struct error *err)
{
    struct cdc_source *s = memory_need(calloc(1, sizeof *s));
    s->conf = conf;
    s->env = env;
    s->relations = relations_new();
    arena_init(&s->scratch);
    if (cdc_conf_refuse(s->conf, err) ||
        set_name(s->slot, "slot", s->conf->slot, env->pipeline, err) ||
        stream_check_slot(s->slot, err) ||
        set_name(s->publication, "publication", s->conf->publication, env->pipeline, err) ||
        intake_open(&s->intake, s->conf, env, err)) {
        source_close(s);
        return RESULT_ERROR;
    }
    if (env->shape.heartbeats && s->conf->streaming) {
        source_close(s);
        return error_set(
            err, ERROR_CONFIG, "config",
            "encode.heartbeat_topic cannot be had with source.streaming: true, as logical messages cannot; remove one of the two");
    }
    s->intake.txn = &s->txn;
    s->intake.scratch = &s->scratch;
    s->options = hash_options(s);
    s->spool = s->conf->streaming ? spool_new(NULL) : NULL;
    *ret_caps = (unsigned)SOURCE_ORDERED | SOURCE_TRANSACTIONS |
                (s->conf->as == CDC_AS_CHANGES ? (unsigned)SOURCE_CHANGES : 0U);
    *ret = s;
    return RESULT_DONE;
}

static void source_stop(void *source)
{
    cdc_drop(source);
}

static void source_close(void *source)
{
    struct cdc_source *s = source;
    if (!s) {
        return;
    }
    cdc_drop(s);
    snapshot_requests_release(&s->requests);
    relations_free(s->relations);
    catalog_free(s->catalog);
    spool_free(s->spool);
    intake_close(&s->intake);
    arena_release(&s->scratch);
    buf_release(&s->snapshot_text);
    buf_release(&s->row_id);
    free(s);
}

/* --- waiting --- */

static void source_poll_fds(void *source, struct poll_set *set)
{
    struct cdc_source *s = source;
    if (!s->stream || s->asking) {
        return; /* the answer to the catalog query wakes us by source_tend_fds */
    }
    if (s->opening) {
        opening_poll_fds(s->opening, set);
        return;
    }
    if (s->failed || s->more || s->holding || s->snapshot_ended || s->disowned) {
        poll_set_deadline(set, clock_mono_us());
        return;
    }
    if (s->snapshot) {
        snapshot_poll_fds(s->snapshot, set);
    }
    if (!s->snapshot || !snapshot_holds(s->snapshot)) {
        stream_poll_fds(s->stream, set);
    }
}

static void source_tend_fds(void *source, struct poll_set *set)
{
    struct cdc_source *s = source;
    if (s->stream) {
        stream_tend_fds(s->stream, set);
        side_poll_fds(&s->side, set);
    }
}

static int lost_meanwhile(struct error *err)
{
    error_set(err, ERROR_RETRY, "cdc", "the connections were closed after a failure");
    return RESULT_ERROR;
}

/* A standby that is promoted goes on serving the stream, on a new timeline. If the cursor named the
 * old timeline, the next start would find an LSN beyond the end of that timeline, and would take it
 * for changes that this server never had. */
static void notice_promotion(struct cdc_source *s)
{
    if (s->side.state.timeline > s->identity.timeline) {
        s->identity.timeline = s->side.state.timeline;
        s->side.heartbeat.refused = s->env->observe;
        s->unsaved = true;
    }
}

static int source_tend(void *source, struct error *err)
{
    struct cdc_source *s = source;
    if (!s->stream) {
        return lost_meanwhile(err);
    }
    if (side_tend(&s->side, err)) {
        /* Closing also ends the stream. Otherwise a server that shuts down would wait for us. */
        cdc_drop(s);
        return error_prefix(err, "the connection beside the stream");
    }
    notice_promotion(s);
    if (cdc_judge_claim(s, err) || (s->asking && cdc_ask(s, err) < 0) ||
        stream_tend(s->stream, err)) {
        cdc_drop(s);
        return RESULT_ERROR;
    }
    if (s->idle_state != 0 && s->idle_lsn == 0 && s->side.told_n >= s->idle_state) {
        s->idle_lsn = s->side.state.current;
    }
    return RESULT_DONE;
}

/* --- what the server is told --- */

static void source_confirm(void *source, struct slice cursor)
{
    struct cdc_source *s = source;
    struct cdc_cursor c;
    struct error ignored;
    if (!s->stream || cdc_cursor_parse(cursor, &c, &ignored)) {
        return;
    }
    s->saved = c.start;
    stream_confirm(s->stream, c.start, s->reply_wanted || s->idle_state != 0);
    s->reply_wanted = s->reply_wanted && c.start < s->txn.start;
}

static bool source_behind(void *source)
{
    const struct cdc_source *s = source;
    return s->stream && stream_behind(s->stream);
}

static bool source_passed_start(void *source)
{
    const struct cdc_source *s = source;
    return s->txn.start >= s->identity.flush_lsn;
}

static bool source_moved(void *source)
{
    struct cdc_source *s = source;
    int64_t now = clock_mono_us();
    /* After a failed read the failing message may be counted in txn although no event came of it:
     * a cursor saved now would skip it. */
    if (!s->stream || s->failed || (s->txn.start <= s->offered && !s->unsaved)) {
        return false;
    }
    bool at_once = s->unsaved || s->gave || s->reply_wanted || s->idle_state != 0;
    if (!at_once && now - s->moved_at_us < MOVED_EVERY_US) {
        return false;
    }
    s->moved_at_us = now;
    s->offered = s->txn.start;
    s->unsaved = s->gave = false;
    return true;
}

static int source_idle(void *source, bool *ret_idle, struct error *err)
{
    struct cdc_source *s = source;
    (void)err;
    bool asked = s->requests.count > 0 && !s->requests.paused;
    *ret_idle = cdc_reads_tables(s) && s->snapshot_taken && !s->snapshot;
    if (cdc_reads_tables(s) || !s->stream || s->snapshot || asked || s->unsaved || s->holding ||
        s->failed || s->txn.open) {
        return RESULT_DONE;
    }
    if (s->idle_state == 0) {
        s->idle_state = side_want_state(&s->side);
    }
    *ret_idle = s->idle_lsn != 0 && s->saved >= s->idle_lsn;
    return RESULT_DONE;
}

static int source_check(void *source, finding_report *report, void *ctx, struct error *err)
{
    struct cdc_source *s = source;
    struct preflight p = {.conf = s->conf,
                          .pipeline = s->env->pipeline,
                          .slot = s->slot,
                          .publication = s->publication,
                          .shape = &s->env->shape,
                          .further = s->env->columns,
                          .further_count = s->env->columns_count,
                          .reads_bodies = intake_reads_bodies(&s->intake)};
    const struct slice *text = s->env->stored;
    struct preflight_stored stored = {.known = text};
    struct cdc_cursor cursor;
    struct error refused;
    if (s->spool && spool_check(s->spool, &refused)) {
        report(ctx, refused.exit_code, refused.text, "");
    }
    if (cdc_connect_sql(s, &p.sql, err)) {
        return RESULT_ERROR;
    }
    if (cdc_connect_stream(s, &p.stream, &refused)) {
        p.stream = NULL;
        report(ctx, refused.exit_code, refused.text, "");
    }
    if (text && text->len > 0 && cdc_cursor_parse(*text, &cursor, &refused)) {
        stored.known = false;
        report(ctx, refused.exit_code, refused.text, "");
    } else if (text && text->len > 0) {
        stored.cursor = &cursor;
    }
    int rc = preflight_doctor(&p, &stored, report, ctx, err);
    stream_close(p.stream);
    pg_close(p.sql);
    return rc;
}

static void source_timeouts(const void *conf, int64_t *connect_us, int64_t *read_us)
{
    const struct cdc_conf *c = conf;
    *connect_us = c->connect_timeout_us;
    *read_us = c->read_timeout_us;
}

static bool source_gives_changes(const void *conf)
{
    const struct cdc_conf *c = conf;
    return c->as == CDC_AS_CHANGES;
}

const struct source_ops source_cdc_postgres = {
    .name = "cdc_postgres",
    .help = "PostgreSQL's logical replication stream: outbox rows, table changes, messages",
    .keys = cdc_conf_keys,
    .conf_size = sizeof(struct cdc_conf),
    .url = {.value = pg_url, .key = "url"},
    .stream = true,
    .timeouts = source_timeouts,
    .gives_changes = source_gives_changes,
    .clash = source_clash,
    .open = source_open,
    .start = cdc_start,
    .poll_fds = source_poll_fds,
    .read = cdc_read,
    .cursor = cdc_cursor,
    .close = source_close,
    .position = cdc_position,
    .resumes = cdc_resumes,
    .describe = cdc_describe,
    .idle = source_idle,
    .lag = cdc_lag,
    .look = cdc_look,
    .confirm = source_confirm,
    .moved = source_moved,
    .behind = source_behind,
    .passed_start = source_passed_start,
    .tend = source_tend,
    .tend_fds = source_tend_fds,
    .stop = source_stop,
    .frontier = cdc_frontier,
    .polled = cdc_polled,
    .when = cdc_when,
    .signal = cdc_signal,
    .obey = cdc_obey,
    .check = source_check,
};
