/*
 * The source outbox_postgres: reads an outbox table by polling. This file has its life (open,
 * start, close) and the small functions of the contract. Pages are read in read.c; what the modes
 * do differently is in position.c, and in pending.c and mark.c. Every statement is a transaction of
 * its own: one that stays open would hold back vacuum.
 */
#include "source/outbox_postgres/internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* --- life --- */

static int source_open(const void *conf_, const struct source_env *env, void **ret,
                       unsigned *ret_caps, struct error *err)
{
    const struct outbox_pg_conf *conf = conf_;
    if (outbox_pg_refuse_conf(conf, env, err)) {
        return RESULT_ERROR;
    }
    struct outbox_pg *s = memory_need(calloc(1, sizeof *s));
    s->conf = conf;
    s->mode = env->range ? &outbox_pg_range : outbox_pg_mode(conf);
    s->env = env;
    s->limit_cap = conf->batch_size;
    s->pending = -1;
    s->oldest_us = TIME_NONE;
    s->table.shards = 1;
    arena_init(&s->table.arena);
    bool ordered = s->mode->has_positions || !conf->order_by_given || conf->order_by[0];
    *ret_caps =
        s->mode->caps | (unsigned)SOURCE_ROWS_STAY | (ordered ? (unsigned)SOURCE_ORDERED : 0U);
    *ret = s;
    return RESULT_DONE;
}

/* Closes the connections and forgets everything that was under way. */
static void drop(struct outbox_pg *s)
{
    pg_result_free(s->page);
    s->page = NULL;
    pg_close(s->reader);
    pg_close(s->mark);
    s->reader = s->mark = NULL;
    s->sent = SENT_NOTHING;
    s->page_guarded = s->more = s->failed = s->found_nothing = s->notified = false;
    s->ack_next = s->ack_running = ACK_NOTHING;
    s->held_up[0] = '\0';
    s->held_up_conn = NULL;
    outbox_pg_held_clear(&s->held);
    outbox_pg_blocked_clear(&s->blocked);
}

/* A shard that was given away may rest for long, and needs no connection. */
static void source_stop(void *source)
{
    drop(source);
}

static void source_close(void *source)
{
    struct outbox_pg *s = source;
    if (!s) {
        return;
    }
    drop(s);
    outbox_pg_held_release(&s->held);
    outbox_pg_blocked_release(&s->blocked);
    outbox_pg_position_release(&s->window);
    buf_release(&s->partitions_seen);
    buf_release(&s->held_param);
    buf_release(&s->blocked_param);
    buf_release(&s->ack_param);
    arena_release(&s->table.arena);
    free(s);
}

static int start_listening(struct outbox_pg *s, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0}, channel = {0};
    if (!s->conf->notify_channel[0]) {
        return RESULT_DONE;
    }
    if (pg_quote_name(&channel, slice_from(s->conf->notify_channel), err)) {
        return error_prefix(err, "source.notify_channel");
    }
    buf_printf(&sql, "listen %s", buf_str(&channel));
    return pg_query(s->reader, buf_str(&sql), 0, NULL, NULL, err);
}

static void note_zone(struct outbox_pg *s)
{
    if (!s->table.zone || s->zone_told || !s->env->note) {
        return;
    }
    CLEANUP(buf_release) struct buf text = {0};
    buf_printf(&text,
               "column %s of %s has no time zone: read as %s, the TimeZone of role and database",
               s->table.column[OUTBOX_PG_CREATED_AT].quoted, s->table.quoted, s->table.zone);
    s->env->note(s->env->note_ctx, LOG_INFO, buf_str(&text));
    s->zone_told = true;
}

static int source_start(void *source, struct slice cursor, int64_t epoch, struct error *err)
{
    struct outbox_pg *s = source;
    drop(s);
    s->epoch = epoch;
    s->interval_us = OUTBOX_PG_POLL_SHORTEST_US;
    s->next_poll_us = 0;
    s->guarded_limit = 0;
    s->one_by_one = false;
    s->spoilt = FORM_ORDINARY;
    s->largest_row = 0;
    if (outbox_pg_connect_reader(s, &s->reader, err) ||
        outbox_pg_inspect(s->reader, s->conf, s->env, &s->table, err) ||
        outbox_pg_demand(s->reader, s->conf, s->env, &s->table, err) ||
        (s->env->range && outbox_pg_by_seq(s, err)) || start_listening(s, err)) {
        return RESULT_ERROR;
    }
    pg_expect_values(s->reader);
    note_zone(s);
    if (outbox_pg_days_look(s, s->reader, NULL, NULL, err)) {
        return RESULT_ERROR;
    }
    return s->mode->start(s, cursor, err);
}

/* --- the rest of the contract --- */

/* The time (monotonic) at which to ask who blocks the statement that was sent at sent_us. */
static int64_t next_look(const struct outbox_pg *s, int64_t sent_us)
{
    int64_t slow_us = sent_us + US_PER_SECOND;
    return slow_us > s->ask_at_us ? slow_us : s->ask_at_us;
}

static void source_poll_fds(void *source, struct poll_set *set)
{
    struct outbox_pg *s = source;
    if (s->page || s->failed) {
        poll_set_deadline(set, 0);
    } else if (s->reader) {
        if (s->sent != SENT_NOTHING) {
            pg_poll_fds(s->reader, set);
            poll_set_deadline(set, next_look(s, s->sent_us));
        } else {
            poll_set_deadline(set, s->next_poll_us);
            pg_poll_fds(s->reader, set);
        }
    }
}

static void source_ack_fds(void *source, struct poll_set *set)
{
    struct outbox_pg *s = source;
    pg_poll_fds(s->mark, set);
    poll_set_deadline(set, next_look(s, s->ack_us));
}

static void source_cursor(void *source, const struct batch *batch, size_t index, struct buf *out)
{
    const struct outbox_pg *s = source;
    s->mode->cursor(s, batch, index, out);
}

static int source_position(void *source, const char *text, struct buf *ret_cursor,
                           struct error *err)
{
    struct outbox_pg *s = source;
    return s->mode->place(s, text, ret_cursor, err);
}

static int source_resumes(void *source, struct slice cursor, struct error *err)
{
    struct outbox_pg *s = source;
    if (!s->mode->has_positions) {
        CLEANUP(buf_release) struct buf unused = {0};
        return s->mode->place(s, "a time", &unused, err); /* says why there is none */
    }
    struct pg *c = NULL;
    if (outbox_pg_connect(s, INT64_MAX, &c, err)) {
        return RESULT_ERROR;
    }
    int rc = outbox_pg_position_fits(s, c, cursor, err);
    pg_close(c);
    return rc;
}

static int source_accepts(void *source, struct slice cursor, struct slice last_position,
                          struct slice last_id, struct error *err)
{
    struct outbox_pg *s = source;
    CLEANUP(buf_release) struct buf sql = {0}, key = {0};
    struct pg_result *r = NULL;
    bool fits = s->mode->knows(s, cursor);
    buf_add_slice(&key, last_position);
    if (fits) {
        struct pg *c = NULL;
        if (outbox_pg_connect(s, INT64_MAX, &c, err)) {
            return RESULT_ERROR;
        }
        int rc = s->table.key ? RESULT_DONE : outbox_pg_inspect(c, s->conf, s->env, &s->table, err);
        if (!rc) {
            buf_printf(&sql, "select t.%s from %s t where t.%s = $1",
                       s->table.column[OUTBOX_PG_ID].quoted, s->table.quoted, s->table.key->quoted);
            rc = pg_query(c, buf_str(&sql), 1, (const char *const[]){buf_str(&key)}, &r, err);
        }
        pg_close(c);
        if (rc) {
            return rc;
        }
        /* In delete mode the relay itself may have deleted the row, after its delivery and before
         * the cursor was saved. */
        fits = pg_rows(r) == 0 ? (s->mode->caps & SOURCE_ACK_REMOVES) != 0
                               : slice_equal(pg_value(r, 0, 0), last_id);
        pg_result_free(r);
    }
    return fits
               ? RESULT_DONE
               : error_exit(
                     err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
                     "the row at position %.*s is not the event that was delivered: the database was restored or is another one; events may be missing from it. Look at `position show`, then `position set ... --yes`",
                     SLICE_FMT(last_position));
}

static int source_idle(void *source, bool *ret_idle, struct error *err)
{
    struct outbox_pg *s = source;
    if (s->sent != SENT_NOTHING || s->page || s->failed) {
        *ret_idle = false;
        return RESULT_DONE;
    }
    return s->mode->idle(s, ret_idle, err);
}

static void source_lag(void *source, struct source_lag *ret)
{
    struct outbox_pg *s = source;
    const struct outbox_pg_window *w = &s->window;
    outbox_pg_take_in(s);
    ret->pending_events = s->pending;
    if (w->open) {
        int64_t from = w->last > w->high ? w->last : w->high, gap;
        bool fine = from != OUTBOX_PG_LOWEST && !__builtin_sub_overflow(w->hi, from, &gap);
        /* One that begins at the first row has about hi rows. Shards are about even. */
        ret->pending_events = (fine ? gap : w->hi) / s->table.shards;
    }
    ret->oldest_us = s->oldest_us;
    snprintf(ret->held_up, sizeof ret->held_up, "%s", s->held_up);
    snprintf(ret->warning, sizeof ret->warning, "%s", s->warning);
}

const struct source_ops source_outbox_postgres = {
    .name = "outbox_postgres",
    .help = "An outbox table in PostgreSQL, read by polling",
    .keys = outbox_pg_keys,
    .conf_size = sizeof(struct outbox_pg_conf),
    .url = {.value = pg_url, .key = "url"},
    .init_fits = true,
    .store_url = outbox_pg_store_url,
    .clash = outbox_pg_clash,
    .timeouts = outbox_pg_timeouts,
    .rows = outbox_pg_rows,
    .divide = outbox_pg_divide,
    .prune = &outbox_pg_prune,
    .open = source_open,
    .start = source_start,
    .poll_fds = source_poll_fds,
    .read = outbox_pg_read,
    .cursor = source_cursor,
    .ack = outbox_pg_ack,
    .ack_fds = source_ack_fds,
    .close = source_close,
    .stop = source_stop,
    .note_failure = outbox_pg_note_failure,
    .note_closed = outbox_pg_note_closed,
    .accepts = source_accepts,
    .position = source_position,
    .resumes = source_resumes,
    .behind = outbox_pg_behind,
    .describe = outbox_pg_cursor_describe,
    .idle = source_idle,
    .lag = source_lag,
    .frontier = outbox_pg_frontier,
    .survey = outbox_pg_survey,
    .recent = outbox_pg_recent,
    .holds = outbox_pg_holds,
    .check = outbox_pg_check,
};
