/* The lock decides who is believed: a state that was stored by a relay that is gone is history. */
#include "cli/status_row.h"

#include "base/shown.h"
#include "cli/kit/json_text.h"
#include "cli/kit/source_open.h"
#include "config/conf_ask.h"
#include "daemon/assembly.h"
#include "db/pg.h"
#include <stdio.h>

enum {
    PENDING_EXACT = 10000, /* counted up to here, estimated above */
    READ_EVENTS = 1000,
    READ_BYTES = 1 << 20,
    PAYLOAD_MAX = 64 << 10, /* larger ones are counted without being fetched */
};
static const int64_t LOOK_US = 5 * US_PER_SECOND;

void status_row_release(struct status_row *r)
{
    buf_release(&r->detail);
    buf_release(&r->position);
    buf_release(&r->held_up);
    buf_release(&r->progress);
    buf_release(&r->store);
    buf_release(&r->source);
    buf_release(&r->sink);
    buf_release(&r->problem);
}

static void set_text(struct buf *b, const char *text)
{
    buf_clear(b);
    shown_add(b, slice_from(text), SHOWN_IN_LINE);
}

static void problem(struct status_row *r, const struct error *err)
{
    if (r->problem.len == 0) {
        buf_add_str(&r->problem, err->text);
        r->exit_code = err->exit_code ? err->exit_code : EXIT_CODE_BUG;
    }
}

void status_row_settle(struct status_row *r, const char *stored_state, const char *stored_detail)
{
    bool ended = strcmp(stored_state, "failed") == 0 || strcmp(stored_state, "stopped") == 0;
    set_text(&r->detail, stored_detail);
    if (r->locked || ended) {
        /* Between taking the lock and its first report a daemon has no state yet. */
        snprintf(r->state, sizeof r->state, "%s", stored_state[0] ? stored_state : "starting");
        return;
    }
    snprintf(r->state, sizeof r->state, "stopped");
    buf_clear(&r->detail);
    if (!stored_state[0]) {
        buf_add_str(&r->detail, "never started");
    } else {
        buf_printf(&r->detail, "the relay is gone; it last said: %s%s%s", stored_state,
                   stored_detail[0] ? ": " : "", stored_detail);
    }
}

/* Reads on from the stored cursor as the relay would, but keeps nothing. */
static int count(struct cli_source *s, struct status_row *r, struct error *err)
{
    int64_t deadline_us = clock_mono_us() + LOOK_US, seen = 0, oldest_us = TIME_NONE;
    struct batch *batch = batch_new();
    struct source_lag lag = {.pending_events = -1, .oldest_us = TIME_NONE};
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
        set_text(&r->held_up, lag.held_up);
    }
    if (rc == RESULT_DONE && (!more || lag.pending_events >= 0)) {
        r->pending = seen + (lag.pending_events > 0 ? lag.pending_events : 0);
    }
    if (rc == RESULT_DONE && (oldest_us != TIME_NONE || r->pending == 0)) {
        double lag_us = oldest_us == TIME_NONE ? 0 : (double)(clock_wall_us() - oldest_us);
        r->lag_seconds = lag_us > 0 ? lag_us / 1e6 : 0;
    }
    return RESULT_DONE;
}

static void take_lag(struct status_row *r, const struct source_lag *lag)
{
    r->pending = lag->pending_events;
    r->lag_bytes = lag->lag_bytes;
    r->slot_retained_bytes = lag->retained_bytes;
    r->slot_limit_bytes = lag->limit_bytes;
    r->slot_lost = lag->lost;
    set_text(&r->held_up, lag->held_up);
    set_text(&r->progress, lag->progress);
    if (lag->oldest_us != TIME_NONE) {
        double lag_us = (double)(clock_wall_us() - lag->oldest_us);
        r->lag_seconds = lag_us > 0 ? lag_us / 1e6 : 0;
    }
}

static void look_at_source(struct status_row *r, const struct conf_pipeline *p, struct slice cursor)
{
    CLEANUP(cli_source_release) struct cli_source s = {0};
    struct error err = {0};
    struct slice from = cursor.len ? cursor : SLICE_NULL;
    if (cli_source_open(&s, p, PAYLOAD_MAX, -1, &err)) {
        problem(r, &err);
        return;
    }
    cli_source_describe(s.ops, cursor, &r->position);
    if (s.ops->look) {
        struct source_lag lag = {.pending_events = -1,
                                 .oldest_us = TIME_NONE,
                                 .lag_bytes = -1,
                                 .retained_bytes = -1,
                                 .limit_bytes = -1};
        if (s.ops->look(s.source, from, &lag, &err)) {
            problem(r, &err);
        }
        take_lag(r, &lag);
    } else if (s.ops->start(s.source, from, 0, &err) || count(&s, r, &err)) {
        problem(r, &err);
    }
}

/* "outbox_postgres app.messages of postgresql://relay@db/shop", "kafka b1:9092". */
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
    set_text(&r->source, buf_str(&source)); /* a path may be what somebody took a URL for */
    set_text(&r->sink, buf_str(&sink));
}

void status_row_look(struct status_row *r, const struct config *c, const struct conf_pipeline *p,
                     const struct found_relay *f)
{
    CLEANUP(cli_store_release) struct cli_store s = {0};
    struct store_position at = {.saved_at_us = TIME_NONE};
    struct error err = {0};
    r->name = p->name;
    r->pending = r->dead_letters = -1;
    r->lag_bytes = r->slot_retained_bytes = r->slot_limit_bytes = r->slot_limit_s = -1;
    r->lag_seconds = r->rate = -1;
    r->saved_at_us = TIME_NONE;
    snprintf(r->state, sizeof r->state, "unknown");
    name_ends(r, p);
    r->exit_code = cli_store_open(&s, c, p);
    if (r->exit_code) {
        return;
    }
    buf_printf(&r->store, "%s", buf_str(&s.shown));
    if (found_observe(f, &s, &at, &err) ||
        (at.epoch > 0 && s.ops->get_paused(s.store, &r->paused, &err)) ||
        s.ops->dead_letter_count(s.store, &r->dead_letters, &err)) {
        problem(r, &err);
        buf_release(&at.cursor);
        return;
    }
    buf_add_str(&r->store, at.absent ? " (nothing there yet)" : "");
    r->locked = at.locked;
    r->delivered = at.delivered;
    r->epoch = at.epoch;
    r->saved_at_us = at.saved_at_us;
    status_row_settle(r, at.state, at.detail);
    look_at_source(r, p, buf_slice(&at.cursor));
    buf_release(&at.cursor);
}

static void take_text(struct buf *b, const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    set_text(b, text ? text : "");
}

static int64_t number_or(const json_t *row, const char *key, int64_t otherwise)
{
    const json_t *n = json_object_get(row, key);
    return json_is_integer(n) ? json_integer_value(n) : otherwise;
}

/* What only the daemon knows: how far its own reading is, how fast the slot's WAL grows. */
static void merge_stream(struct status_row *r, const json_t *row)
{
    take_text(&r->progress, row, "progress");
    r->lag_bytes = number_or(row, "lag_bytes", r->lag_bytes);
    r->slot_retained_bytes = number_or(row, "slot_retained_bytes", r->slot_retained_bytes);
    r->slot_limit_bytes = number_or(row, "slot_limit_bytes", r->slot_limit_bytes);
    r->slot_lost = r->slot_lost || json_is_true(json_object_get(row, "slot_lost"));
    r->slot_limit_s = number_or(row, "slot_limit_seconds", r->slot_limit_s);
}

void status_row_merge(struct status_row *r, const json_t *row, bool sure)
{
    const char *state = json_string_value(json_object_get(row, "state"));
    /* A standby knows nothing of the pipeline but that another one runs it. One that has failed
     * holds no lock, and knows why. */
    bool failed = state && strcmp(state, "failed") == 0;
    bool ended = failed || (state && strcmp(state, "stopped") == 0);
    bool believed = ended ? !r->locked && (failed || sure) : r->locked || sure;
    if (!state || strcmp(state, "waiting") == 0 || !believed) {
        return;
    }
    if (sure) {
        r->paused = json_is_true(json_object_get(row, "paused"));
    }
    const char *since = json_string_value(json_object_get(row, "since"));
    snprintf(r->state, sizeof r->state, "%s", state);
    r->has_since = since != NULL;
    snprintf(r->since, sizeof r->since, "%s", since ? since : "");
    take_text(&r->detail, row, "detail");
    if (failed) {
        return;
    }
    take_text(&r->held_up, row, "held_up");
    merge_stream(r, row);
    const json_t *rate = json_object_get(row, "events_per_second");
    r->rate = json_is_number(rate) ? json_number_value(rate) : -1;
    const char *position = json_string_value(json_object_get(row, "position"));
    if (position) {
        set_text(&r->position, position);
        r->delivered = (uint64_t)json_integer_value(json_object_get(row, "delivered"));
    }
    /* A daemon that is paused or stuck has not looked for a while: what we counted is newer. */
    const json_t *lag = json_object_get(row, "lag_seconds");
    if (r->pending < 0) {
        r->pending = number_or(row, "pending_events", -1);
        r->lag_seconds = json_is_number(lag) ? json_number_value(lag) : r->lag_seconds;
    }
}

static json_t *known(int64_t n)
{
    return n < 0 ? json_null() : json_integer(n);
}

json_t *status_row_json(const struct status_row *r)
{
    json_t *j = json_object();
    json_object_set_new(j, "name", json_string(r->name));
    json_object_set_new(j, "state", json_string(r->state));
    json_object_set_new(j, "detail", json_text(buf_slice(&r->detail)));
    json_object_set_new(j, "since", json_text_or_null(r->since));
    json_object_set_new(j, "store", json_text_or_null(buf_str(&r->store)));
    json_object_set_new(j, "locked", json_boolean(r->locked));
    json_object_set_new(j, "paused", json_boolean(r->paused));
    json_object_set_new(j, "source", json_text_or_null(buf_str(&r->source)));
    json_object_set_new(j, "sink", json_text_or_null(buf_str(&r->sink)));
    json_object_set_new(j, "position", json_text_or_null(buf_str(&r->position)));
    json_object_set_new(j, "delivered", json_integer((json_int_t)r->delivered));
    json_object_set_new(j, "epoch", json_integer(r->epoch));
    json_object_set_new(j, "saved_at", json_time(r->saved_at_us));
    json_object_set_new(j, "pending_events", known(r->pending));
    json_object_set_new(j, "lag_seconds",
                        r->lag_seconds < 0 ? json_null() : json_real(r->lag_seconds));
    json_object_set_new(j, "events_per_second", r->rate < 0 ? json_null() : json_real(r->rate));
    json_object_set_new(j, "dead_letters", known(r->dead_letters));
    json_object_set_new(j, "lag_bytes", known(r->lag_bytes));
    json_object_set_new(j, "slot_retained_bytes", known(r->slot_retained_bytes));
    json_object_set_new(j, "slot_limit_bytes", known(r->slot_limit_bytes));
    json_object_set_new(j, "slot_limit_seconds", known(r->slot_limit_s));
    json_object_set_new(j, "slot_lost", json_boolean(r->slot_lost));
    json_object_set_new(j, "progress", json_text_or_null(buf_str(&r->progress)));
    json_object_set_new(j, "held_up", json_text_or_null(buf_str(&r->held_up)));
    json_object_set_new(j, "problem", json_text_or_null(buf_str(&r->problem)));
    return j;
}

static bool state_is(const struct status_row *r, const char *const *states)
{
    for (; *states; states++) {
        if (strcmp(r->state, *states) == 0) {
            return true;
        }
    }
    return false;
}

enum status_level status_row_level(const struct status_row *r, int64_t max_lag_us)
{
    static const char *const well[] = {"running", "paused", "waiting", NULL};
    static const char *const down[] = {"blocked", "failed", "stopped", "unknown", NULL};
    bool late = max_lag_us > 0 && r->lag_seconds * 1e6 > (double)max_lag_us;
    if (state_is(r, down) || r->slot_lost) {
        return STATUS_DOWN;
    }
    return state_is(r, well) && r->held_up.len == 0 && r->problem.len == 0 && !late
               ? STATUS_WELL
               : STATUS_DEGRADED;
}
