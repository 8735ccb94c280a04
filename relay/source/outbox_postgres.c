/* Reads a PostgreSQL outbox table: everything committed, nothing else, a page at a time, never in a
 * transaction that stays open. */
#include "source/outbox_postgres.h"

#include <stdio.h>
#include <stdlib.h>

static const int64_t POLL_SHORTEST_US = 5 * US_PER_MS;
enum {
    BUDGET_LEAST = 64 * 1024,
    BUDGET_MOST = 4 * 1024 * 1024,
    GOOD_PAGES = 64,
    PAGE_GROWTH_MOST = 10
};

/* --- configuration --- */

static const char *const modes[] = {"position", "status", "delete", NULL};

#define NAME(which) offsetof(struct outbox_pg_names, name[which])
#define GIVEN(which) offsetof(struct outbox_pg_names, given[which])
#define COLUMN(key, which, text)                                                       \
    {                                                                                  \
        key, CONF_STRING, NAME(which), key, .given_offset = GIVEN(which), .help = text \
    }

static const struct conf_key column_keys[] = {
    COLUMN("id", OUTBOX_PG_ID, "The event id: unique, given by the application"),
    COLUMN("aggregatetype", OUTBOX_PG_AGGREGATETYPE, "What the event is about"),
    COLUMN("aggregateid", OUTBOX_PG_AGGREGATEID, "The key: events of one key keep their order"),
    COLUMN("type", OUTBOX_PG_TYPE, "The event's type"),
    COLUMN("payload", OUTBOX_PG_PAYLOAD, "json, jsonb, bytea or anything that has a text form"),
    COLUMN("headers", OUTBOX_PG_HEADERS, "A JSON object; may be missing unless named here"),
    COLUMN("created_at", OUTBOX_PG_CREATED_AT, "A timestamp; may be missing unless named here"),
    COLUMN("seq", OUTBOX_PG_SEQ, "Grows with each insert"),
    COLUMN("xid", OUTBOX_PG_XID, "xid8 of the inserting transaction (mode: position)"),
    CONF_END};

#define CONF(field) offsetof(struct outbox_pg_conf, field)

static const struct conf_key keys[] = {
    {"url", CONF_STRING, CONF(url), .required = true,
     .help = "postgresql://... or a libpq conninfo string; a direct connection to the primary"},
    {"table", CONF_STRING, CONF(table), "outbox", .help = "schema.table; public if bare"},
    {"mode", CONF_ENUM, CONF(mode), "position", .choices = modes,
     .help = "position only reads; status marks rows; delete removes them"},
    {"columns", CONF_GROUP, CONF(columns), .group = column_keys,
     .help = "Names of the table's columns"},
    {"order_by", CONF_STRING, CONF(order_by), "seq", .given_offset = CONF(order_by_given),
     .help = "Modes status and delete: another column to order by (id breaks ties), or \"\""},
    {"start_from", CONF_STRING, CONF(start_from), "beginning",
     .help = "beginning, now or an event position: only when nothing is stored yet"},
    {"batch_size", CONF_INT, CONF(batch_size), "1000", .min = 1, .max = 100000,
     .help = "Rows a read"},
    {"poll_interval", CONF_DURATION, CONF(poll_interval_us), "1s", .min = 1000,
     .max = 3600 * INT64_C(1000000), .help = "The longest wait; it adapts down to 5 ms under load"},
    {"notify_channel", CONF_STRING, CONF(notify_channel), "",
     .help = "LISTEN on it to wake up earlier"},
    {"connect_timeout", CONF_DURATION, CONF(connect_timeout_us), "5s", .min = 1000,
     .max = 3600 * INT64_C(1000000), .help = "For connecting"},
    {"read_timeout", CONF_DURATION, CONF(read_timeout_us), "30s", .min = 1000,
     .max = 24 * 3600 * INT64_C(1000000), .help = "For every answer of the server"},
    CONF_END};

static int refuse_conf(const struct outbox_pg_conf *conf, const struct source_env *env,
                       struct error *err)
{
    const char *seq = conf->columns.name[OUTBOX_PG_SEQ];
    CLEANUP(buf_release) struct buf quoted = {0};
    if (pg_quote_table(&quoted, conf->table, err)) {
        return error_prefix(err, "source.table");
    }
    if (conf->mode == OUTBOX_PG_POSITION) {
        if (conf->order_by_given && strcmp(conf->order_by, seq) != 0) {
            return error_set(err, ERROR_CONFIG, "config",
                             "source.order_by \"%s\": mode: position always orders by columns.seq"
                             " (\"%s\"); remove order_by, or use mode: status or delete",
                             conf->order_by, seq);
        }
        return RESULT_DONE;
    }
    if (strcmp(conf->start_from, "beginning") != 0) {
        return error_set(err, ERROR_CONFIG, "config",
                         "source.start_from \"%s\": mode: %s has no position, it relays every"
                         " pending row; remove start_from, or mark or delete the rows not wanted",
                         conf->start_from, modes[conf->mode]);
    }
    if (conf->order_by_given && !conf->order_by[0] && env->ordered) {
        return error_set(err, ERROR_CONFIG, "config",
                         "source.order_by \"\" gives no order, which delivery.ordered: true"
                         " promises: name a column that grows, or set delivery.ordered: false");
    }
    return RESULT_DONE;
}

/* --- life --- */

static int source_open(const void *conf_, const struct source_env *env, void **ret,
                       unsigned *ret_caps, struct error *err)
{
    const struct outbox_pg_conf *conf = conf_;
    if (refuse_conf(conf, env, err)) {
        return RESULT_ERROR;
    }
    struct outbox_pg *s = calloc(1, sizeof *s);
    if (!s) {
        return error_set(err, ERROR_FATAL, "outbox_postgres", "out of memory");
    }
    s->conf = conf;
    s->env = env;
    s->limit_cap = conf->batch_size;
    s->pending = -1;
    s->oldest_us = TIME_NONE;
    arena_init(&s->table.arena);
    bool ordered = conf->mode == OUTBOX_PG_POSITION || !conf->order_by_given || conf->order_by[0];
    *ret_caps = (ordered ? (unsigned)SOURCE_ORDERED : 0U) |
                (conf->mode == OUTBOX_PG_POSITION ? 0U : (unsigned)SOURCE_ACK_KEYS);
    *ret = s;
    return RESULT_DONE;
}

/* Forgets all that was under way. */
static void drop(struct outbox_pg *s)
{
    pg_result_free(s->page);
    s->page = NULL;
    pg_close(s->reader);
    pg_close(s->mark);
    s->reader = s->mark = NULL;
    s->sent = SENT_NOTHING;
    s->page_guarded = s->failed = s->found_nothing = false;
    s->ack_wanted = s->ack_sent = s->ack_fence = false;
    s->held_up[0] = '\0';
    s->held_up_conn = NULL;
    outbox_pg_held_clear(&s->held);
    outbox_pg_blocked_clear(&s->blocked);
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
    buf_release(&s->held_param);
    buf_release(&s->blocked_param);
    buf_release(&s->ack_param);
    arena_release(&s->table.arena);
    free(s);
}

int outbox_pg_connect(const struct outbox_pg *s, int64_t most_us, struct pg **ret,
                      struct error *err)
{
    int64_t connect_us = s->conf->connect_timeout_us, read_us = s->conf->read_timeout_us;
    const struct pg_options options = {.url = s->conf->url,
                                       .pipeline = s->env->pipeline,
                                       .connect_timeout_us =
                                           connect_us < most_us ? connect_us : most_us,
                                       .read_timeout_us = read_us < most_us ? read_us : most_us,
                                       .stop_fd = s->env->stop_fd};
    return pg_connect(&options, ret, err);
}

/* A page must come by index whatever the statistics say: they know nothing of snapshots, and a plan
 * that sorts the table is fine on the first day only. Page costs count for nothing, so that the
 * index that leaves the fewest rows wins, however new and unvacuumed they are. Each statement's
 * snapshot must be its own, so isolation is not left to the role. */
static const char reader_settings[] =
    "set enable_seqscan = off; set enable_bitmapscan = off; set enable_hashjoin = off;"
    " set enable_mergejoin = off; set seq_page_cost = 0; set random_page_cost = 0; set jit = off; "
    "set max_parallel_workers_per_gather = 0;"
    " set plan_cache_mode = force_generic_plan; set default_transaction_read_only = on;"
    " set default_transaction_isolation = 'read committed'";

static const char mark_settings[] =
    "set enable_seqscan = off; set jit = off; set lock_timeout = '5s';"
    " set default_transaction_read_only = off;"
    " set default_transaction_isolation = 'read committed'";

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

static int start_pending(struct outbox_pg *s, struct slice cursor, struct error *err)
{
    const char *mode = modes[s->conf->mode];
    if (!slice_is_null(cursor) && !slice_equal_str(cursor, mode)) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
            "the stored cursor of pipeline %s is not one of mode: %s (was the mode"
            " changed?): delivered rows may still be pending. Mark or delete them, then"
            " `position set beginning --yes`",
            s->env->pipeline, mode);
    }
    if (outbox_pg_connect(s, INT64_MAX, &s->mark, err) ||
        pg_query(s->mark, mark_settings, 0, NULL, NULL, err)) {
        return RESULT_ERROR;
    }
    return outbox_pg_pending_prepare(s, err);
}

static int source_start(void *source, struct slice cursor, int64_t epoch, struct error *err)
{
    struct outbox_pg *s = source;
    drop(s);
    s->epoch = epoch;
    s->interval_us = POLL_SHORTEST_US;
    s->next_poll_us = 0;
    s->guarded_limit = 0;
    s->largest_row = 0;
    if (outbox_pg_connect(s, INT64_MAX, &s->reader, err) ||
        pg_query(s->reader, reader_settings, 0, NULL, NULL, err) ||
        outbox_pg_inspect(s->reader, s->conf, s->env, &s->table, err) ||
        outbox_pg_demand(s->reader, s->conf, s->env, &s->table, err) || start_listening(s, err)) {
        return RESULT_ERROR;
    }
    if (s->conf->mode != OUTBOX_PG_POSITION) {
        return start_pending(s, cursor, err);
    }
    if (outbox_pg_position_prepare(s, err)) {
        return RESULT_ERROR;
    }
    return outbox_pg_position_start(s, cursor, err);
}

/* --- sending and taking in --- */

int outbox_pg_send(struct outbox_pg *s, enum outbox_pg_sent what, const char *name, size_t n,
                   const char *const *params, struct error *err)
{
    if (pg_send_prepared(s->reader, name, n, params, false, err)) {
        return RESULT_ERROR;
    }
    s->sent = what;
    s->sent_us = clock_mono_us();
    return RESULT_DONE;
}

void outbox_pg_limits(struct outbox_pg *s, struct outbox_pg_limits *ret)
{
    /* Status and delete modes walk over what is held; so that this costs each row about the same,
     * however many are in flight, a page grows with them. */
    int64_t held = (int64_t)s->held.live, most = s->limit_cap * PAGE_GROWTH_MOST;
    int64_t limit = held <= s->limit_cap ? s->limit_cap : held < most ? held : most;
    size_t row = s->largest_row ? s->largest_row : 1;
    int64_t fits = (int64_t)(s->budget / row) + 1;
    limit = fits < limit ? fits : limit;
    s->page_guarded = s->guarded_limit > 0;
    if (s->page_guarded && s->guarded_limit < limit) {
        limit = s->guarded_limit;
    }
    size_t max = s->env->max_event_bytes;
    s->page_limit = limit;
    s->page_budget = s->budget;
    s->page_sum = 0;
    s->page_big = false;
    snprintf(ret->limit, sizeof ret->limit, "%lld", (long long)limit);
    snprintf(ret->largest, sizeof ret->largest, "%lld",
             max ? (long long)max : (long long)INT64_MAX);
    snprintf(ret->budget, sizeof ret->budget, "%zu", s->page_budget);
}

static int take_result(struct outbox_pg *s, struct pg_result *r, struct error *err)
{
    int rc = RESULT_DONE;
    switch (s->sent) {
    case SENT_PAGE:
        s->page = r;
        s->row = 0;
        return RESULT_DONE; /* kept */
    case SENT_WINDOW:
        rc = outbox_pg_position_opened(s, r, err);
        break;
    case SENT_COUNT:
        s->pending = pg_int(r, 0, 0, 0);
        if (s->pending > 10000) {
            s->pending = pg_int(r, 0, 1, s->pending);
        }
        break;
    case SENT_NOTHING:
        break;
    }
    pg_result_free(r);
    return rc;
}

/* A page that the server would not finish in time is asked for in halves. */
static int read_failed(struct outbox_pg *s, struct error *err)
{
    if (strcmp(err->code, "57014") == 0) {
        s->limit_cap = s->limit_cap > 1 ? s->limit_cap / 2 : 1;
        s->good_pages = 0;
    }
    return error_prefix(err, "reading %s", s->table.quoted);
}

/* Takes in what has come. DONE: the statement is over. */
static int take_in(struct outbox_pg *s, struct error *err)
{
    while (pg_busy(s->reader)) {
        struct pg_result *r = NULL;
        int rc = pg_take(s->reader, &r, err);
        if (rc == RESULT_AGAIN) {
            return rc;
        }
        if (rc == RESULT_DONE && r) {
            rc = take_result(s, r, err);
        }
        if (rc) {
            return read_failed(s, err);
        }
    }
    s->sent = SENT_NOTHING;
    outbox_pg_watch_end(s, s->reader);
    return RESULT_DONE;
}

/* While the pipeline reads nothing, an answer on its way must not wait in the socket: the server
 * could not end its statement, and its snapshot would hold back vacuum for as long as the sink
 * stands still. */
static void take_in_early(struct outbox_pg *s)
{
    if (s->reader && !s->failed && s->sent != SENT_NOTHING) {
        s->failed = take_in(s, &s->deferred) < 0;
    }
}

/* --- handing out --- */

/* What the page showed decides how the next one is asked for. */
static void page_ended(struct outbox_pg *s)
{
    size_t rows = pg_rows(s->page);
    bool cut = s->page_guarded && s->page_sum >= s->page_budget;
    bool exhausted = (int64_t)rows < s->page_limit && !cut;
    pg_result_free(s->page);
    s->page = NULL;
    if (s->page_guarded) {
        int64_t next = cut ? (int64_t)rows + 1 : s->page_limit * 2;
        s->guarded_limit = s->page_big ? next : 0;
    }
    if (++s->good_pages >= GOOD_PAGES) {
        s->good_pages = 0;
        s->limit_cap =
            s->limit_cap * 2 < s->conf->batch_size ? s->limit_cap * 2 : s->conf->batch_size;
        s->largest_row = 0; /* large rows of long ago count no more */
    }
    if (s->conf->mode == OUTBOX_PG_POSITION) {
        if (exhausted) {
            outbox_pg_position_exhausted(s);
        }
        return;
    }
    /* Nothing to give, and either no more to see or too many waiting keys to look past them. */
    bool stuck = s->blocked.count >= OUTBOX_PG_BLOCKED_MAX;
    s->found_nothing = !s->page_gave && (exhausted || stuck);
    s->pending = exhausted ? (int64_t)rows : s->pending >= 0 ? s->pending : -1;
}

/* The rest of an ordinary page, from a row on whose payload did not come with it, is asked for
 * again with measured sizes. */
static void turn_guarded(struct outbox_pg *s, size_t size)
{
    size_t fits =
        s->budget / (4 * size + 1) + 1; /* stored size; its text may be several times larger */
    s->guarded_limit = fits < (size_t)s->limit_cap ? (int64_t)fits : s->limit_cap;
    pg_result_free(s->page);
    s->page = NULL;
}

static void give(struct outbox_pg *s, struct batch *batch, size_t bytes)
{
    enum payload_kind kind = outbox_pg_payload_kind(s->table.column[OUTBOX_PG_PAYLOAD].type);
    struct event *e = outbox_pg_row_event(s->page, s->row, s->env->columns_count, kind,
                                          s->env->max_event_bytes, batch);
    if (batch->count == 1) {
        s->oldest_us = e->created_at_us;
    }
    s->largest_row = bytes > s->largest_row ? bytes : s->largest_row;
    s->page_gave = true;
    if (s->conf->mode == OUTBOX_PG_POSITION) {
        outbox_pg_position_given(s, batch, e);
    } else {
        outbox_pg_held_add(&s->held, e->row_key);
    }
}

static void hand_out(struct outbox_pg *s, struct batch *batch, size_t max_events, size_t max_bytes)
{
    size_t rows = pg_rows(s->page), further = s->env->columns_count;
    for (; s->row < rows; s->row++) {
        int64_t big = pg_int(s->page, s->row, PAGE_BIG, -1);
        if (big >= 0 && !s->page_guarded) {
            turn_guarded(s, (size_t)big);
            return;
        }
        if (s->conf->mode != OUTBOX_PG_POSITION &&
            !outbox_pg_pending_may_give(s, s->page, s->row)) {
            continue;
        }
        size_t bytes = outbox_pg_row_bytes(s->page, s->row, further);
        if (batch->count >= max_events ||
            (batch->count > 0 && batch->bytes + bytes + OUTBOX_PG_EVENT_BYTES > max_bytes)) {
            return;
        }
        if (big >= 0) {
            bool kept = s->env->max_event_bytes > 0 && (size_t)big > s->env->max_event_bytes;
            s->page_big = true;
            s->page_sum += kept ? 0 : (size_t)big;
        }
        give(s, batch, bytes);
    }
    page_ended(s);
}

/* --- polling --- */

static int may_poll(struct outbox_pg *s, bool *ret, struct error *err)
{
    bool window = s->conf->mode == OUTBOX_PG_POSITION && s->window.open;
    *ret = window || clock_mono_us() >= s->next_poll_us;
    if (!*ret && s->conf->notify_channel[0] && pg_notified(s->reader, ret, err)) {
        return RESULT_ERROR;
    }
    if (*ret) {
        s->next_poll_us = 0; /* goes on at once until nothing is found */
    }
    return RESULT_DONE;
}

static int send_next(struct outbox_pg *s, struct error *err)
{
    s->page_gave = false;
    return s->conf->mode == OUTBOX_PG_POSITION ? outbox_pg_position_send(s, err)
                                               : outbox_pg_pending_send(s, err);
}

static void caught_up(struct outbox_pg *s)
{
    int64_t now = clock_mono_us(), most = s->conf->poll_interval_us;
    s->found_nothing = false;
    s->pending = s->conf->mode == OUTBOX_PG_POSITION ? 0 : s->pending;
    s->oldest_us = TIME_NONE;
    s->next_poll_us = now + (s->interval_us < most ? s->interval_us : most);
    s->interval_us = s->interval_us * 2 < most ? s->interval_us * 2 : most;
    int64_t due = outbox_pg_blocked_next(&s->blocked);
    s->next_poll_us = due < s->next_poll_us ? due : s->next_poll_us;
}

static void set_budget(struct outbox_pg *s, size_t max_bytes)
{
    s->budget = max_bytes < BUDGET_LEAST  ? BUDGET_LEAST
                : max_bytes > BUDGET_MOST ? BUDGET_MOST
                                          : max_bytes;
}

/* The next page is asked for before this one is worked on, so that server and relay work at the
 * same time. Only ordinary pages: measured ones may be as large as the budget. */
static int read_ahead(struct outbox_pg *s, struct error *err)
{
    s->interval_us = POLL_SHORTEST_US;
    if (s->page || pg_busy(s->reader) || s->guarded_limit > 0) {
        return RESULT_DONE;
    }
    return send_next(s, err);
}

static int source_read(void *source, struct batch *batch, size_t max_events, size_t max_bytes,
                       struct error *err)
{
    struct outbox_pg *s = source;
    set_budget(s, max_bytes);
    for (;;) {
        if (s->failed) {
            s->failed = false;
            *err = s->deferred;
            return RESULT_ERROR;
        }
        int rc = take_in(s, err);
        if (rc == RESULT_AGAIN) {
            outbox_pg_watch(s, s->reader, s->sent_us);
        }
        if (rc) {
            return rc;
        }
        if (s->page) {
            hand_out(s, batch, max_events, max_bytes);
            if (batch->count > 0) {
                /* A failure to send is told by the next read: what was found is fine. */
                s->failed = read_ahead(s, &s->deferred) < 0;
                return RESULT_DONE;
            }
        }
        if (s->found_nothing) {
            caught_up(s);
            return RESULT_DONE;
        }
        bool may = false;
        if (may_poll(s, &may, err)) {
            return RESULT_ERROR;
        }
        if (!may) {
            return RESULT_AGAIN;
        }
        if (send_next(s, err)) {
            return read_failed(s, err);
        }
    }
}

/* When a slow statement's blockers are to be asked for. */
static int64_t next_look(const struct outbox_pg *s, int64_t sent_us)
{
    int64_t slow_us = sent_us + US_PER_SECOND;
    return slow_us > s->ask_at_us ? slow_us : s->ask_at_us;
}

static void source_poll_fds(void *source, struct poll_set *set)
{
    struct outbox_pg *s = source;
    bool had = s->page || s->failed;
    take_in_early(s);
    if (s->page || s->failed) {
        /* Once only: a pipeline that has no room for it must not spin. It reads as soon as it has.
         */
        poll_set_deadline(set, had ? DEADLINE_NEVER : clock_mono_us());
    } else if (s->reader) {
        if (s->sent != SENT_NOTHING) {
            pg_poll_fds(s->reader, set);
            poll_set_deadline(set, next_look(s, s->sent_us));
        } else {
            poll_set_deadline(set, s->next_poll_us);
            pg_poll_fds(s->reader, set);
        }
    }
    if (s->mark && (s->ack_sent || s->ack_wanted)) {
        pg_poll_fds(s->mark, set);
        poll_set_deadline(set, next_look(s, s->ack_us));
    }
}

/* --- the rest of the contract --- */

static void source_cursor(void *source, const struct batch *batch, size_t index, struct buf *out)
{
    struct outbox_pg *s = source;
    if (s->conf->mode != OUTBOX_PG_POSITION) {
        buf_add_str(out, modes[s->conf->mode]);
    } else if (batch && index < batch->count) {
        buf_add_slice(out, batch->context);
        outbox_pg_add_int(out, (int64_t)batch->events[index].order);
    } else {
        outbox_pg_position_cursor(s, out);
    }
}

static int source_position(void *source, const char *text, struct buf *ret_cursor,
                           struct error *err)
{
    struct outbox_pg *s = source;
    if (s->conf->mode == OUTBOX_PG_POSITION) {
        return outbox_pg_position_place(s, text, ret_cursor, err);
    }
    if (strcmp(text, "beginning") != 0) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "mode: %s has no position but the rows themselves; only \"beginning\" can be"
            " set. Mark or delete the rows that are not wanted",
            modes[s->conf->mode]);
    }
    buf_add_str(ret_cursor, modes[s->conf->mode]);
    return RESULT_DONE;
}

static int source_accepts(void *source, struct slice cursor, struct slice last_position,
                          struct slice last_id, struct error *err)
{
    struct outbox_pg *s = source;
    CLEANUP(buf_release) struct buf sql = {0}, key = {0};
    struct outbox_pg_cursor parsed;
    struct pg_result *r = NULL;
    bool fits = s->conf->mode == OUTBOX_PG_POSITION ? outbox_pg_cursor_parse(cursor, &parsed)
                                                    : slice_equal_str(cursor, modes[s->conf->mode]);
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
        fits = pg_rows(r) == 1 && slice_equal(pg_value(r, 0, 0), last_id);
        pg_result_free(r);
    }
    return fits ? RESULT_DONE
                : error_exit(err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
                             "the row at position %.*s is not the event that was delivered: the"
                             " database was restored or is another one; events may be missing from"
                             " it. Look at `position show`, then `position set ... --yes`",
                             SLICE_FMT(last_position));
}

static int source_idle(void *source, bool *ret_idle, struct error *err)
{
    struct outbox_pg *s = source;
    if (s->sent != SENT_NOTHING || s->page || s->failed) {
        *ret_idle = false;
        return RESULT_DONE;
    }
    if (s->conf->mode == OUTBOX_PG_POSITION) {
        *ret_idle = !s->window.open;
        return RESULT_DONE;
    }
    return outbox_pg_pending_idle(s, ret_idle, err);
}

static void source_lag(void *source, struct source_lag *ret)
{
    struct outbox_pg *s = source;
    const struct outbox_pg_window *w = &s->window;
    take_in_early(s);
    ret->pending_events = s->pending;
    if (s->conf->mode == OUTBOX_PG_POSITION && w->open) {
        int64_t from = w->last > w->high ? w->last : w->high, gap;
        bool fine = from != OUTBOX_PG_LOWEST && !__builtin_sub_overflow(w->hi, from, &gap);
        ret->pending_events = fine ? gap : w->hi; /* from the first: about as many as its number */
    }
    ret->oldest_us = s->oldest_us;
    snprintf(ret->held_up, sizeof ret->held_up, "%s", s->held_up);
}

const struct source_ops source_outbox_postgres = {
    .name = "outbox_postgres",
    .help = "An outbox table in PostgreSQL, read by polling",
    .keys = keys,
    .conf_size = sizeof(struct outbox_pg_conf),
    .open = source_open,
    .start = source_start,
    .poll_fds = source_poll_fds,
    .read = source_read,
    .cursor = source_cursor,
    .ack = outbox_pg_ack,
    .close = source_close,
    .note_failure = outbox_pg_note_failure,
    .accepts = source_accepts,
    .position = source_position,
    .describe = outbox_pg_cursor_describe,
    .idle = source_idle,
    .lag = source_lag,
    .check = outbox_pg_check,
};
