/* Decides where the source begins: at the stored cursor, or, if nothing is stored, at start_from or
 * with a snapshot. The checks of preflight come first: they refuse a start that would skip changes
 * which were not delivered. */
#include "base/log.h"
#include "cdc/internal.h"
#include "cdc/snapshot/state.h"
#include "cdc/stream/lsn.h"

#include <stdio.h>
#include <unistd.h>

/* The cursor when nothing is stored: start_from decides. A new snapshot for a lost slot begins
 * where the new slot does. CONFIG: the WAL of start_from is not there. */
static int begin_fresh(const struct cdc_source *s, const struct preflight_result *p,
                       struct cdc_cursor *ret, struct error *err)
{
    const char *from = p->resnapshot ? "beginning" : s->conf->start_from;
    struct cdc_cursor c = {.start =
                               p->slot_created ? p->created.consistent_lsn : p->slot_confirmed};
    char text[LSN_TEXT_SIZE], slot[LSN_TEXT_SIZE];
    if (strcmp(from, "now") == 0 && p->identity.flush_lsn > c.start) {
        c.start = p->identity.flush_lsn;
    } else if (strcmp(from, "now") != 0 && strcmp(from, "beginning") != 0) {
        uint64_t first = c.start;
        (void)cdc_place_parse(from, &c); /* cannot fail: cdc_conf_refuse has checked it */
        lsn_format(p->identity.flush_lsn, text);
        lsn_format(first, slot);
        if (c.start < first || c.start > p->identity.flush_lsn) {
            return error_set(
                err, ERROR_CONFIG, "cdc",
                "source.start_from \"%s\" is not between the beginning of slot \"%s\" (%s) and the end of the server's WAL (%s)",
                from, s->slot, slot, text);
        }
    }
    c.options = s->options;
    *ret = c;
    return RESULT_DONE;
}

static int choose_start(struct cdc_source *s, const struct cdc_cursor *stored,
                        const struct preflight_result *p, struct error *err)
{
    struct cdc_cursor c;
    if (stored && !p->resnapshot) {
        c = *stored;
    } else if (begin_fresh(s, p, &c, err)) {
        return RESULT_ERROR;
    }
    /* If the options differ (another publication, for example), changes are counted in another way
     * and the stored ordinal means nothing. */
    txn_reset(&s->txn, &c, c.options == s->options);
    s->saved = s->offered = c.start;
    return RESULT_DONE;
}

/* A start_from other than "beginning" names the first change that is wanted. Rows of a snapshot
 * before it would not be: there is none at such a start. */
static bool starts_elsewhere(const struct cdc_source *s)
{
    return s->conf->start_from_given && strcmp(s->conf->start_from, "beginning") != 0;
}

static bool wants_snapshot(const struct cdc_source *s)
{
    return cdc_conf_snapshot(s->conf) != CDC_SNAPSHOT_NEVER && !starts_elsewhere(s);
}

/* `snapshot: always`: one snapshot in each process, while the stream goes on. It runs like one that
 * was interrupted before its first row of a table with a key. Tables without a key count as done:
 * their rows could be read again only by leaving out changes of the stream, as a resumed first
 * snapshot does, and deletes among those changes would be lost. */
static bool wants_another(const struct cdc_source *s)
{
    return cdc_conf_snapshot(s->conf) == CDC_SNAPSHOT_ALWAYS && !s->snapshot_taken;
}

static int open_snapshot(struct cdc_source *s, const struct cdc_cursor *stored,
                         const struct preflight_result *p, struct error *err)
{
    CLEANUP(buf_release) struct buf begun = {0};
    bool first = p->slot_created && p->created.snapshot[0];
    struct slice state = SLICE_NULL;
    if (snapshot_requests_parse(stored && !p->resnapshot ? stored->snapshot : SLICE_NULL,
                                &s->requests, &state, err)) {
        return RESULT_ERROR;
    }
    if (!stored && starts_elsewhere(s)) {
        s->snapshot_taken = true; /* so that a reconnect of this process takes none either */
    }
    if (!first && slice_is_null(state) && wants_another(s)) {
        const struct snapshot_place begin = {
            .lsn = s->identity.flush_lsn, .started_us = clock_wall_us(), .bare_done = true};
        snapshot_place_format(&begin, &begun);
        state = buf_slice(&begun);
    }
    if (!first && slice_is_null(state)) {
        cdc_snapshot_note(s); /* the first read opens what was asked for */
        return RESULT_DONE;
    }
    struct snapshot_options options = cdc_snapshot_options(s);
    options.exported = first ? p->created.snapshot : NULL;
    options.state = state;
    if (snapshot_open(&options, &s->snapshot, err)) {
        return error_prefix(err, "initial snapshot");
    }
    s->progress_at_us = clock_mono_us() + US_PER_SECOND;
    cdc_snapshot_note(s);
    return RESULT_DONE;
}

/* --- coming up --- */

static void learn(struct cdc_source *s, const struct preflight_result *p)
{
    s->identity = p->identity;
    s->intake.system_id = s->identity.system_id;
    s->intake.money_unit = p->money_unit;
    s->intake.server_version = s->identity.server_version;
    s->intake.database = slice_from(s->identity.database);
    buf_clear(&s->intake.prefix);
    if (p->note[0] && s->env->note) {
        s->env->note(s->env->note_ctx, LOG_INFO, p->note);
    }
}

static int start_stream(struct cdc_source *s, const char *slot, struct error *err)
{
    const struct stream_start start = {.slot = slot,
                                       .publication = s->publication,
                                       .lsn = s->txn.start,
                                       .messages = true, /* a snapshot that goes on needs them */
                                       .streaming =
                                           s->spool && spool_begin(s->spool, s->txn.start)};
    return stream_start(s->stream, &start, err);
}

static int read_tables(struct cdc_source *s, const char *exported, struct error *err)
{
    struct snapshot_options options = cdc_snapshot_options(s);
    options.exported = exported;
    s->snapshot_taken = false;
    return snapshot_open(&options, &s->snapshot, err) ? error_prefix(err, "the rows of the tables")
                                                      : RESULT_DONE;
}

/* Only looking: reads through a temporary slot, from now on (tail), or the rows of the tables as
 * they are where that slot begins (verify). The pipeline's own slot is not touched. */
static int observe(struct cdc_source *s, const struct preflight *p, struct error *err)
{
    struct preflight_result r;
    struct stream_slot slot;
    char name[CDC_NAME_SIZE];
    snprintf(name, sizeof name, "commitrelay_look_%ld", (long)getpid());
    bool tables = cdc_reads_tables(s);
    if (preflight_run(p, NULL, false, &r, err) ||
        stream_create_slot(s->stream, name, tables, true, &slot, err)) {
        return RESULT_ERROR;
    }
    learn(s, &r);
    const struct cdc_cursor c = {.start = slot.consistent_lsn};
    txn_reset(&s->txn, &c, false);
    s->saved = s->offered = c.start;
    return (tables && read_tables(s, slot.snapshot, err)) || start_stream(s, name, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

/* The slot that was just created has to go again: the next start would refuse a slot without a
 * stored cursor, and its exported snapshot is lost with this connection. */
static void drop_again(struct cdc_source *s, const struct preflight_result *r, struct error *err)
{
    struct error ignored;
    if (!r->slot_created) {
        return;
    }
    if (stream_drop_slot(s->stream, s->slot, &ignored)) {
        error_prefix(err, "slot \"%s\" was created, and should be dropped", s->slot);
    } else {
        source_did(s->env, SOURCE_SLOT_DROPPED, s->slot, "");
    }
}

static int follow(struct cdc_source *s, const struct preflight *p, const struct cdc_cursor *stored,
                  struct error *err)
{
    struct preflight_result r;
    if (preflight_run(p, stored, wants_snapshot(s), &r, err)) {
        return RESULT_ERROR;
    }
    learn(s, &r);
    /* The stream is started before the snapshot is read: an active slot is ours, and no other
     * relay can take it meanwhile. */
    if (choose_start(s, stored, &r, err) || open_snapshot(s, stored, &r, err) ||
        start_stream(s, s->slot, err)) {
        drop_again(s, &r, err);
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

/* Asks for the slot's state at every start, also at one that fails, so that the lag shows how much
 * WAL the slot makes the server keep. If it cannot be asked for, the old numbers stay. */
static void refresh_state(struct cdc_source *s)
{
    struct error ignored;
    struct slot_state state;
    if (pg_alive(s->side.sql) && cdc_ask_state(s, s->side.sql, &state, &ignored) == RESULT_DONE) {
        s->slot_state = state;
        s->slot_told = true;
    }
}

/* Column defaults are read over this connection and should have the form of the stream's values:
 * money without a currency sign. An error is ignored. If the connection is lost, the next side_tend
 * says so; failing here would leave a new slot without a stored cursor. */
static void prepare_side(struct cdc_source *s)
{
    struct error ignored;
    if (s->env->shape.plain_money) {
        (void)!pg_query(s->side.sql, "set lc_monetary = 'C'", 0, NULL, NULL, &ignored);
    }
}

static int come_up(struct cdc_source *s, const struct cdc_cursor *stored, struct error *err)
{
    if ((s->spool && spool_check(s->spool, err)) || cdc_connect_sql(s, &s->side.sql, err) ||
        cdc_connect_stream(s, &s->stream, err)) {
        return RESULT_ERROR;
    }
    const struct preflight p = {.conf = s->conf,
                                .pipeline = s->env->pipeline,
                                .slot = s->slot,
                                .publication = s->publication,
                                .stream = s->stream,
                                .sql = s->side.sql,
                                .resumes = stored != NULL,
                                .shape = &s->env->shape,
                                .further = s->env->columns,
                                .further_count = s->env->columns_count,
                                .reads_bodies = intake_reads_bodies(&s->intake),
                                .observe = s->env->observe,
                                .env = s->env};
    s->catalog = catalog_new();
    if (s->env->observe ? observe(s, &p, err) : follow(s, &p, stored, err)) {
        if (!error_is(err, PG_STOPPED) && !error_is(err, PG_TIMEOUT)) {
            refresh_state(s);
        }
        return RESULT_ERROR;
    }
    prepare_side(s);
    refresh_state(s);
    side_start(&s->side, s->side.sql, s->conf, s->slot, s->publication);
    s->side.heartbeat.refused = s->env->observe;
    s->side.heartbeat.always = s->env->shape.heartbeats;
    return RESULT_DONE;
}

int cdc_start(void *source, struct slice cursor, int64_t epoch, struct error *err)
{
    struct cdc_source *s = source;
    struct cdc_cursor stored, *from = NULL;
    (void)epoch; /* the slot has one reader; nothing is marked */
    cdc_drop(s);
    relations_clear(s->relations);
    relations_sweep(s->relations);
    catalog_free(s->catalog);
    s->catalog = NULL;
    s->last_oid = 0;
    s->last_table = NULL;
    if (!slice_is_null(cursor)) {
        if (cdc_cursor_parse(cursor, &stored, err)) {
            return RESULT_ERROR;
        }
        from = &stored;
        s->saved = stored.start;
    }
    if (come_up(s, from, err)) {
        cdc_drop(s);
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}
