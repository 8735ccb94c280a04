/* Puts together what the store, the source and a daemon tell about one pipeline. The stored state
 * is believed only while a relay holds the pipeline's lock: a relay that was killed leaves
 * "running" behind. */
#include "cli/status_row.h"

#include "base/memory.h"
#include "base/shown.h"
#include "cli/kit/source_open.h"
#include "config/conf_ask.h"
#include "daemon/assembly.h"
#include "daemon/json_value.h"
#include "daemon/membership.h"
#include "db/pg.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    PENDING_EXACT = 10000, /* counted up to here, estimated above */
    READ_EVENTS = 1000,
    READ_BYTES = 1 << 20,
    PAYLOAD_MAX = 64 << 10, /* larger ones are counted without being fetched */
};
/* For how long events are counted at most. */
static const int64_t LOOK_US = 5 * US_PER_SECOND;

size_t status_rows_of(const struct config *c, struct status_of **ret)
{
    size_t n = 0;
    *ret = memory_need(calloc(c->pipelines_count * PART_SHARDS_MAX + 1, sizeof **ret));
    for (size_t i = 0; i < c->pipelines_count; i++) {
        int of = membership_shards(&c->pipelines[i]);
        for (int k = 0; k < of; k++) {
            (*ret)[n].conf = &c->pipelines[i];
            part_text((struct part){k, of}, (*ret)[n++].part);
        }
    }
    return n;
}

void status_row_init(struct status_row *r, const char *name, const char *part)
{
    *r = (struct status_row){0};
    arena_init(&r->texts);
    standing_init(&r->at);
    r->at.name = name;
    r->at.part = part;
}

void status_row_release(struct status_row *r)
{
    arena_release(&r->texts);
    json_decref(r->targets);
}

static const char *shown(struct status_row *r, const char *text)
{
    CLEANUP(buf_release) struct buf b = {0};
    shown_add(&b, slice_from(text), SHOWN_IN_LINE);
    return arena_copy(&r->texts, buf_slice(&b)).ptr;
}

static void problem(struct status_row *r, const struct error *err)
{
    if (!r->at.problem[0]) {
        r->at.problem = arena_copy(&r->texts, slice_from(err->text)).ptr;
        r->exit_code = err->exit_code ? err->exit_code : EXIT_CODE_BUG;
    }
}

void status_row_settle(struct status_row *r, const char *stored_state, const char *stored_detail)
{
    struct standing *at = &r->at;
    bool ended = strcmp(stored_state, "failed") == 0 || strcmp(stored_state, "stopped") == 0;
    if (at->locked || ended) {
        /* A daemon has no stored state between taking the lock and its first report. */
        at->state = stored_state[0] ? shown(r, stored_state) : "starting";
        at->detail = shown(r, stored_detail);
        return;
    }
    at->state = "stopped";
    at->detail = "never started";
    if (stored_state[0]) {
        CLEANUP(buf_release) struct buf b = {0};
        buf_printf(&b, "the relay is gone; it last said: %s%s%s", stored_state,
                   stored_detail[0] ? ": " : "", stored_detail);
        at->detail = arena_copy(&r->texts, buf_slice(&b)).ptr;
    }
}

/* Not below 0, although the database's clock may be ahead of ours. */
static double age(int64_t wall_us)
{
    double us = (double)(clock_wall_us() - wall_us);
    return us > 0 ? us / 1e6 : 0;
}

/* Counts the pending events of a source that cannot tell their number without reading: reads on
 * from the stored cursor as the relay would, and forgets what it reads. */
static int count(struct cli_source *s, struct status_row *r, struct error *err)
{
    int64_t deadline_us = clock_mono_us() + LOOK_US, seen = 0, oldest_us = TIME_NONE;
    struct batch *batch = batch_new();
    struct source_lag lag = SOURCE_LAG_UNKNOWN;
    int rc;
    bool more;
    do {
        batch_reset(batch);
        rc = cli_source_read(s, batch, READ_EVENTS, READ_BYTES, deadline_us, err);
        more = rc == RESULT_DONE && batch->count > 0;
        if (seen == 0 && batch->count > 0) {
            oldest_us = batch->events[0].created_at_us;
        }
        seen += (int64_t)batch->count;
        s->ops->lag(s->source, &lag);
    } while (more && (lag.pending_events < 0 || seen + lag.pending_events <= PENDING_EXACT) &&
             seen <= 2 * PENDING_EXACT);
    batch_free(batch);
    if (rc == RESULT_ERROR) {
        return RESULT_ERROR;
    }
    if (lag.held_up[0]) {
        r->at.held_up = shown(r, lag.held_up);
    }
    r->at.warning = shown(r, lag.warning);
    if (rc == RESULT_DONE && (!more || lag.pending_events >= 0)) {
        r->at.pending_events = seen + (lag.pending_events > 0 ? lag.pending_events : 0);
    }
    if (rc == RESULT_DONE && (oldest_us != TIME_NONE || r->at.pending_events == 0)) {
        r->at.lag_seconds = oldest_us == TIME_NONE ? 0 : age(oldest_us);
    }
    return RESULT_DONE;
}

static void take_lag(struct status_row *r, const struct source_lag *lag)
{
    standing_take_lag(&r->at, lag);
    r->at.held_up = shown(r, lag->held_up);
    r->at.progress = shown(r, lag->progress);
    r->at.warning = shown(r, lag->warning);
    if (lag->oldest_us != TIME_NONE) {
        r->at.lag_seconds = age(lag->oldest_us);
    }
}

static void look_at_source(struct status_row *r, const struct status_of *of, struct slice cursor)
{
    CLEANUP(cli_source_release) struct cli_source s = {0};
    struct error err = {0};
    struct slice from = cursor.len ? cursor : SLICE_NULL;
    if (cli_source_open(&s, of->conf, PAYLOAD_MAX, -1, &err)) {
        problem(r, &err);
        return;
    }
    s.env.store.part = of->part;
    CLEANUP(buf_release) struct buf position = {0};
    cli_source_describe(s.ops, cursor, &position);
    r->at.position = arena_copy(&r->texts, buf_slice(&position)).ptr;
    if (s.ops->look) {
        struct source_lag lag = SOURCE_LAG_UNKNOWN;
        if (s.ops->look(s.source, from, &lag, &err)) {
            problem(r, &err);
        }
        take_lag(r, &lag);
    } else if (s.ops->start(s.source, from, 0, &err) || count(&s, r, &err)) {
        problem(r, &err);
    }
}

/* Names source and sink for people, for example "outbox_postgres app.messages of
 * postgresql://relay@db/shop" and "kafka b1:9092". */
static void name_ends(struct status_row *r, const struct conf_pipeline *p)
{
    const char *url = conf_ask_text(p->source->keys, p->source_conf, "url");
    const char *path = conf_ask_text(p->source->keys, p->source_conf, "path");
    const char *table = conf_ask_text(p->source->keys, p->source_conf, "table");
    const char *brokers = conf_ask_text(p->sink->keys, p->sink_conf, "brokers");
    const char *dir = conf_ask_text(p->sink->keys, p->sink_conf, "dir");
    CLEANUP(buf_release) struct buf source = {0}, sink = {0};
    buf_printf(&source, "%s%s%s of ", p->source->name,
               table && table[0] && !assembly_changes(p) ? " " : "",
               table && !assembly_changes(p) ? table : "");
    if (url) {
        pg_redact(url, &source);
    } else {
        buf_add_str(&source, path ? path : "?");
    }
    buf_printf(&sink, "%s %s", p->sink->name, brokers ? brokers : dir ? dir : "");
    r->at.source =
        shown(r, buf_str(&source)); /* `path` may hold a URL by mistake, with a password */
    r->at.sink = shown(r, buf_str(&sink));
}

static void take_stored(struct status_row *r, const struct cli_store *s,
                        const struct store_position *stored)
{
    CLEANUP(buf_release) struct buf where = {0};
    char saved_at[CLOCK_RFC3339_SIZE];
    buf_printf(&where, "%s%s", buf_str(&s->shown), stored->absent ? " (nothing there yet)" : "");
    r->at.store = arena_copy(&r->texts, buf_slice(&where)).ptr;
    r->at.locked = stored->locked;
    r->at.holder = shown(r, stored->holder);
    r->at.delivered = (int64_t)stored->delivered;
    r->at.epoch = stored->epoch;
    if (stored->saved_at_us != TIME_NONE) {
        clock_format_rfc3339(stored->saved_at_us, saved_at);
        r->at.saved_at = shown(r, saved_at);
    }
    status_row_settle(r, stored->state, stored->detail);
}

static int add_parked(void *ctx, const struct store_parked *k)
{
    struct standing *at = ctx;
    at->parked_keys++;
    at->parked_events += k->waiting;
    return RESULT_DONE;
}

void status_row_look(struct status_row *r, const struct config *c, const struct status_of *of,
                     const struct found_relay *f)
{
    CLEANUP(cli_store_release) struct cli_store s = {0};
    struct store_position stored = {.saved_at_us = TIME_NONE};
    struct error err = {0};
    status_row_init(r, of->conf->name, of->part);
    r->at.state = "unknown";
    name_ends(r, of->conf);
    r->exit_code = cli_store_open_part(&s, c, of->conf, of->part);
    if (r->exit_code) {
        return;
    }
    r->at.store = arena_copy(&r->texts, buf_slice(&s.shown)).ptr;
    if (found_observe(f, &s, &stored, &err) ||
        (stored.epoch > 0 && s.ops->get_paused(s.store, &r->at.paused, &err)) ||
        s.ops->dead_letter_count(s.store, &r->at.dead_letters, &err) ||
        s.ops->parked_list(s.store, add_parked, &r->at, &err)) {
        problem(r, &err);
    } else {
        take_stored(r, &s, &stored);
        look_at_source(r, of, buf_slice(&stored.cursor));
    }
    buf_release(&stored.cursor);
}

/* Figures that only the daemon has: how far it has read, how fast the slot's WAL grows. */
static const enum standing_field daemon_knows[] = {
    STANDING_held_up,           STANDING_progress,
    STANDING_lag_bytes,         STANDING_slot_retained_bytes,
    STANDING_slot_limit_bytes,  STANDING_slot_limit_seconds,
    STANDING_slot_lost,         STANDING_events_per_second,
    STANDING_pruned_rows_total, STANDING_last_prune_timestamp_seconds,
};
static const enum standing_field state_fields[] = {STANDING_state, STANDING_since, STANDING_detail};
static const enum standing_field position_fields[] = {STANDING_position, STANDING_delivered};
static const enum standing_field lag_fields[] = {STANDING_pending_events, STANDING_lag_seconds};

#define TAKE(r, row, fields) \
    standing_read(&(r)->at, row, fields, sizeof(fields) / sizeof *(fields), &(r)->texts)

void status_row_merge(struct status_row *r, const json_t *row, bool sure)
{
    const char *state = json_string_value(json_object_get(row, "state"));
    /* A daemon whose pipeline is "waiting" is a standby: it knows only that another one runs it.
     * One whose pipeline has failed does not hold the lock any more, but knows why it failed. */
    bool failed = state && strcmp(state, "failed") == 0;
    bool ended = failed || (state && strcmp(state, "stopped") == 0);
    bool believed = ended ? !r->at.locked && (failed || sure) : r->at.locked || sure;
    if (!state || strcmp(state, "waiting") == 0 || !believed) {
        return;
    }
    if (sure) {
        r->at.paused = json_is_true(json_object_get(row, "paused"));
    }
    TAKE(r, row, state_fields);
    if (failed) {
        return;
    }
    bool lost = r->at.slot_lost;
    TAKE(r, row, daemon_knows);
    json_decref(r->targets);
    r->targets = json_incref(json_object_get(row, "targets"));
    r->at.slot_lost = lost || r->at.slot_lost;
    if (json_is_string(json_object_get(row, "position"))) {
        TAKE(r, row, position_fields);
    }
    /* What this command has counted is newer: a daemon that is paused or stuck does not count. */
    if (r->at.pending_events < 0) {
        TAKE(r, row, lag_fields);
    }
}

void status_row_told(struct status_row *r, const char *name, const char *part, const json_t *row)
{
    static const enum standing_field others[] = {STANDING_paused, STANDING_store,
                                                 STANDING_dead_letters, STANDING_parked_keys,
                                                 STANDING_parked_events};
    status_row_init(r, name, part);
    r->at.state = "unknown";
    if (row) {
        TAKE(r, row, state_fields);
        TAKE(r, row, position_fields);
        TAKE(r, row, lag_fields);
        TAKE(r, row, daemon_knows);
        TAKE(r, row, others);
    }
}

json_t *status_row_json(const struct status_row *r)
{
    static const enum standing_field shown_fields[] = {
        STANDING_name,
        STANDING_state,
        STANDING_detail,
        STANDING_since,
        STANDING_store,
        STANDING_locked,
        STANDING_paused,
        STANDING_source,
        STANDING_sink,
        STANDING_position,
        STANDING_delivered,
        STANDING_epoch,
        STANDING_saved_at,
        STANDING_pending_events,
        STANDING_lag_seconds,
        STANDING_events_per_second,
        STANDING_dead_letters,
        STANDING_parked_keys,
        STANDING_parked_events,
        STANDING_lag_bytes,
        STANDING_slot_retained_bytes,
        STANDING_slot_limit_bytes,
        STANDING_slot_limit_seconds,
        STANDING_slot_lost,
        STANDING_progress,
        STANDING_held_up,
        STANDING_warning,
        STANDING_pruned_rows_total,
        STANDING_last_prune_timestamp_seconds,
        STANDING_problem,
    };
    json_t *all = standing_json(&r->at, shown_fields, sizeof shown_fields / sizeof *shown_fields);
    if (r->at.part[0]) {
        json_object_set_new(all, "part", json_string(r->at.part));
        json_object_set_new(all, "holder", json_text_or_null(r->at.holder));
    }
    if (r->targets) {
        json_object_set(all, "targets", r->targets);
    }
    return all;
}

static bool state_is(const struct status_row *r, const char *const *states)
{
    for (; *states; states++) {
        if (strcmp(r->at.state, *states) == 0) {
            return true;
        }
    }
    return false;
}

enum status_level status_row_level(const struct status_row *r, int64_t max_lag_us)
{
    static const char *const well[] = {"running", "paused", "waiting", NULL};
    static const char *const down[] = {"blocked", "failed", "stopped", "unknown", NULL};
    bool late = max_lag_us > 0 && r->at.lag_seconds * 1e6 > (double)max_lag_us;
    if (state_is(r, down) || r->at.slot_lost) {
        return STATUS_DOWN;
    }
    bool seen_well = state_is(r, well) && !r->at.held_up[0] && !r->at.problem[0];
    return seen_well && !late ? STATUS_WELL : STATUS_DEGRADED;
}
