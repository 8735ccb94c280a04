/*
 * Position mode: gives the rows that became visible between two snapshots, in the order of seq.
 *
 * Example: transaction A draws seq 1, B draws seq 2, and B commits first. A reader that only
 * remembers "seq 2 is delivered" would never send seq 1. Here the next window finds it, because A
 * is not visible in the snapshot that was delivered.
 *
 * A window is what snapshot s2 shows and snapshot s1 does not. Its rows are found in two ways:
 *   stragglers  seq <= high: drawn earlier, committed after s1; found by xid alone
 *   fresh rows  seq > high: found by the primary key
 * Stragglers come first, so the whole window is in the order of seq. Any value of high gives the
 * right rows; the highest seq of s1 makes looking fast.
 */
#include "source/outbox_postgres/internal.h"

/* While windows are empty, the stored cursor moves only when its snapshot has aged by so many
 * transactions. An idle relay then saves nothing, and after a restart it has little to look
 * through. */
enum { BASE_AGE_XIDS = 1000 };

enum { FAR_PARAMS = 7 };

#define LOWEST "(-9223372036854775808)::bigint"

static void set_text(struct buf *b, struct slice text)
{
    buf_clear(b);
    buf_add_slice(b, text);
}

void outbox_pg_position_release(struct outbox_pg_window *w)
{
    buf_release(&w->s1);
    buf_release(&w->s2);
    buf_release(&w->base);
}

/* --- statements --- */

/* Two conditions that find stragglers through the index on (xid, seq). The planner thinks that a
 * bound on seq leaves few rows; with the primary key it would walk the whole table, and must not
 * choose that plan.
 * SINCE (transactions begun after s1) gives seq one bound only, and "+ 0" hides even this one if
 * the index holds xid alone, where it could not be checked within the index, and in a partitioned
 * table: of a partition that was empty when it was last looked at, a plan through (seq) looks as
 * cheap. RUNNING (transactions that ran in s1) has seq in a row comparison, which also gives each
 * transaction's rows in order.
 */
#define SINCE "%s >= pg_snapshot_xmax($1::pg_snapshot) and %s%s <= "
#define RUNNING "unnest(array(select pg_snapshot_xip($1::pg_snapshot))) x(xid)"

static const char *unbound(const struct outbox_pg_table *t)
{
    return t->column[OUTBOX_PG_XID].indexed_seq && !t->partitioned ? "" : " + 0";
}

/* Rows of other shards (t->shard) count for `hi` alone: the window passes over them.
 * Parameters: $1 s1, $2 high. Result: s2, hi, and whether there are stragglers. If nothing is
 * delivered (high is the lowest value) there are none, and looking for them would walk the whole
 * index on xid. */
static void add_window(const struct outbox_pg_table *t, struct buf *out)
{
    const char *seq = t->column[OUTBOX_PG_SEQ].quoted, *xid = t->column[OUTBOX_PG_XID].quoted;
    buf_printf(out,
               "select pg_current_snapshot()::text as s2,"
               " greatest($2::bigint, (select max(%s) from %s)) as hi,"
               " case when $2::bigint = " LOWEST " then false else"
               " exists (select from %s t where " SINCE "$2::bigint%s)",
               seq, t->quoted, t->quoted, xid, seq, unbound(t), t->shard);
    buf_printf(
        out,
        " or exists (select from " RUNNING ", lateral (select from %s t where (t.%s, t.%s) >="
        " (x.xid, " LOWEST ") and (t.%s, t.%s) <= (x.xid, $2::bigint)%s limit 1) l) end as late",
        t->quoted, xid, seq, xid, seq, t->shard);
}

/* Opens a window and, unless stragglers come first, reads its first page of at most $3 rows. It is
 * one statement and so one snapshot: every row it sees is visible in s2. A new event then costs one
 * round trip. */
static void window_sql(const struct outbox_pg_table *t, size_t further, struct buf *out)
{
    const char *seq = t->column[OUTBOX_PG_SEQ].quoted, *xid = t->column[OUTBOX_PG_XID].quoted;
    CLEANUP(buf_release) struct buf from = {0}, where = {0}, page = {0};
    buf_printf(&from, "%s t", t->quoted);
    buf_printf(
        &where,
        "not w.late and t.%s > $2::bigint and not pg_visible_in_snapshot(t.%s, $1::pg_snapshot)%s",
        seq, xid, t->shard);
    struct outbox_pg_page_sql sql = {.with = "",
                                     .from = buf_str(&from),
                                     .where = buf_str(&where),
                                     .order = t->order,
                                     .due = "null::bigint",
                                     .limit_param = 3};
    outbox_pg_page_sql(t, further, &sql, FORM_ORDINARY, &page);
    buf_clear(out);
    buf_add_str(out, "with w as materialized (");
    add_window(t, out);
    buf_printf(out,
               ") select p.*, w.s2, w.hi, w.late from w left join lateral (%s) p on true"
               " order by p.c%d",
               buf_str(&page), PAGE_KEY);
}

/* Parameters: $1 s1, $2 s2, $3 after this seq, $4 up to this seq, $5 limit (, $6 largest, $7
 * budget). */
static void stragglers_sql(const struct outbox_pg_table *t, size_t further,
                           enum outbox_pg_form form, struct buf *out)
{
    const char *seq = t->column[OUTBOX_PG_SEQ].quoted, *xid = t->column[OUTBOX_PG_XID].quoted;
    CLEANUP(buf_release) struct buf with = {0}, from = {0};
    buf_printf(
        &with,
        "with late as materialized (select %s as seq from %s t where " SINCE
        "$4::bigint and %s + 0 > $3::bigint and pg_visible_in_snapshot(%s, $2::pg_snapshot)%s",
        seq, t->quoted, xid, seq, unbound(t), seq, xid, t->shard);
    buf_printf(&with,
               " union all select l.seq from " RUNNING ", lateral (select t.%s as seq from %s t"
               " where (t.%s, t.%s) > (x.xid, $3::bigint) and (t.%s, t.%s) <= (x.xid, $4::bigint)"
               " and pg_visible_in_snapshot(x.xid, $2::pg_snapshot)%s"
               " order by t.%s, t.%s limit $5::bigint) l),",
               seq, t->quoted, xid, seq, xid, seq, t->shard, xid, seq);
    buf_add_str(&with,
                " first as materialized (select seq from late order by seq limit $5::bigint) ");
    buf_printf(&from, "first join %s t on t.%s = first.seq", t->quoted, seq);
    struct outbox_pg_page_sql sql = {.with = buf_str(&with),
                                     .from = buf_str(&from),
                                     .where = "true",
                                     .order = t->order,
                                     .due = "null::bigint",
                                     .limit_param = 5};
    outbox_pg_page_sql(t, further, &sql, form, out);
}

/* The same parameters. */
static void fresh_sql(const struct outbox_pg_table *t, size_t further, enum outbox_pg_form form,
                      struct buf *out)
{
    const char *seq = t->column[OUTBOX_PG_SEQ].quoted, *xid = t->column[OUTBOX_PG_XID].quoted;
    CLEANUP(buf_release) struct buf from = {0}, where = {0};
    buf_printf(&from, "%s t", t->quoted);
    buf_printf(
        &where,
        "t.%s > $3::bigint and t.%s <= $4::bigint and pg_visible_in_snapshot(t.%s, $2::pg_snapshot) and not pg_visible_in_snapshot(t.%s, $1::pg_snapshot)%s",
        seq, seq, xid, xid, t->shard);
    struct outbox_pg_page_sql sql = {.with = "",
                                     .from = buf_str(&from),
                                     .where = buf_str(&where),
                                     .order = t->order,
                                     .due = "null::bigint",
                                     .limit_param = 5};
    outbox_pg_page_sql(t, further, &sql, form, out);
}

static int prepare(struct outbox_pg *s, struct error *err)
{
    const struct outbox_pg_table *t = &s->table;
    size_t further = s->env->columns_count;
    CLEANUP(buf_release) struct buf sql = {0};
    window_sql(t, further, &sql);
    if (outbox_pg_partitions_prepare(s, err) ||
        pg_prepare(s->reader, "window", buf_str(&sql), 3, err)) {
        return RESULT_ERROR;
    }
    for (enum outbox_pg_form form = 0; form < FORM_COUNT; form++) {
        size_t n = form == FORM_GUARDED ? FAR_PARAMS : FAR_PARAMS - FORM_GUARDED_PARAMS;
        stragglers_sql(t, further, form, &sql);
        if (pg_prepare(s->reader, outbox_pg_page_name(form, true), buf_str(&sql), n, err)) {
            return RESULT_ERROR;
        }
        fresh_sql(t, further, form, &sql);
        if (pg_prepare(s->reader, outbox_pg_page_name(form, false), buf_str(&sql), n, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

/* --- where to begin --- */

static int current_snapshot(struct pg *c, const struct outbox_pg_conf *conf, struct buf *ret_text,
                            int64_t *ret_max, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0}, seq = {0}, table = {0};
    struct pg_result *r = NULL;
    if (pg_quote_name(&seq, slice_from(conf->columns.name[OUTBOX_PG_SEQ]), err) ||
        pg_quote_table(&table, conf->table, err)) {
        return RESULT_ERROR;
    }
    buf_printf(&sql, "select pg_current_snapshot()::text, (select max(%s) from %s)", buf_str(&seq),
               buf_str(&table));
    if (pg_query(c, buf_str(&sql), 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    set_text(ret_text, pg_value(r, 0, 0));
    *ret_max = pg_int(r, 0, 1, OUTBOX_PG_LOWEST);
    pg_result_free(r);
    return RESULT_DONE;
}

/* The cursor from which delivery goes on behind the position `text`. For a seq it is a window from
 * nothing to now, delivered up to this seq. Rows that commit later belong to the next window,
 * whatever their seq. */
static int place(struct outbox_pg *s, const char *text, struct buf *ret_cursor, struct error *err)
{
    struct outbox_pg_cursor cursor = {.s1 = SLICE_LITERAL(OUTBOX_PG_NOTHING_VISIBLE),
                                      .high = OUTBOX_PG_LOWEST,
                                      .hi = OUTBOX_PG_LOWEST,
                                      .last = OUTBOX_PG_LOWEST};
    bool now = strcmp(text, "now") == 0;
    if (outbox_pg_check_position(text, err)) {
        return RESULT_ERROR;
    }
    if (strcmp(text, "beginning") == 0) {
        outbox_pg_cursor_text(&cursor, ret_cursor);
        return RESULT_DONE;
    }
    (void)outbox_pg_number(slice_from(text), &cursor.last); /* "now" is no number: `last` stays */
    CLEANUP(buf_release) struct buf snapshot = {0};
    struct pg *c = NULL;
    int64_t max;
    if (outbox_pg_connect(s, INT64_MAX, &c, err)) {
        return RESULT_ERROR;
    }
    int rc = current_snapshot(c, s->conf, &snapshot, &max, err);
    pg_close(c);
    if (rc) {
        return rc;
    }
    if (now) {
        cursor.s1 = buf_slice(&snapshot);
        cursor.high = cursor.hi = max;
    } else {
        cursor.s2 = buf_slice(&snapshot);
        cursor.hi = max;
    }
    outbox_pg_cursor_text(&cursor, ret_cursor);
    return RESULT_DONE;
}

/* As outbox_pg_position_fits, and *ret: the parts of the cursor. */
static int understand(const struct outbox_pg *s, struct pg *c, struct slice text,
                      struct outbox_pg_cursor *ret, struct error *err)
{
    if (!outbox_pg_cursor_parse(text, ret)) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
            "the stored cursor of pipeline %s is not one of mode: position (was the mode changed?): say where to go on with `position set ... --yes`",
            s->env->pipeline);
    }
    return outbox_pg_demand_past(s, c, slice_is_null(ret->s2) ? ret->s1 : ret->s2, err);
}

int outbox_pg_position_fits(struct outbox_pg *s, struct pg *c, struct slice cursor,
                            struct error *err)
{
    struct outbox_pg_cursor parsed;
    return understand(s, c, cursor, &parsed, err);
}

static void keep_base(struct outbox_pg_window *w)
{
    set_text(&w->base, buf_slice(&w->s1));
    w->base_high = w->high;
}

static int go_on_from(struct outbox_pg *s, struct slice text, struct error *err)
{
    struct outbox_pg_window *w = &s->window;
    struct outbox_pg_cursor cursor;
    CLEANUP(buf_release) struct buf placed = {0};
    if (slice_is_null(text)) {
        if (place(s, s->conf->start_from, &placed, err)) {
            return error_prefix(err, "source.start_from");
        }
        text = buf_slice(&placed);
    }
    if (understand(s, s->reader, text, &cursor, err)) {
        return RESULT_ERROR;
    }
    set_text(&w->s1, cursor.s1);
    set_text(&w->s2, cursor.s2);
    w->open = !slice_is_null(cursor.s2);
    w->high = cursor.high;
    w->hi = cursor.hi;
    w->last = w->open ? cursor.last : OUTBOX_PG_LOWEST;
    w->shown = cursor.last;
    w->given = w->open;
    w->stragglers_done = w->last > w->high;
    keep_base(w);
    set_text(&s->partitions_seen, cursor.s1);
    s->partitions_us = 0;
    return RESULT_DONE;
}

/* --- the window --- */

static int send_window(struct outbox_pg *s, struct error *err)
{
    CLEANUP(buf_release) struct buf high = {0};
    struct outbox_pg_limits limits;
    outbox_pg_add_int(&high, s->window.high);
    outbox_pg_limits(s, &limits);
    /* A guarded page, or one that is read row by row, needs a statement of its own. */
    s->window.with_page = s->form == FORM_ORDINARY && !s->one_by_one;
    const char *const params[] = {buf_str(&s->window.s1), buf_str(&high),
                                  s->window.with_page ? limits.limit : "0"};
    return outbox_pg_send(s, SENT_WINDOW, "window", 3, params, err);
}

static int send_page(struct outbox_pg *s, struct error *err)
{
    const struct outbox_pg_window *w = &s->window;
    CLEANUP(buf_release) struct buf after = {0}, upto = {0};
    bool late = !w->stragglers_done;
    struct outbox_pg_limits limits;
    outbox_pg_add_int(&after, late || w->last > w->high ? w->last : w->high);
    outbox_pg_add_int(&upto, late ? w->high : w->hi);
    outbox_pg_limits(s, &limits);
    const char *const params[FAR_PARAMS] = {buf_str(&w->s1), buf_str(&w->s2), buf_str(&after),
                                            buf_str(&upto),  limits.limit,    limits.largest,
                                            limits.budget};
    size_t n = s->form == FORM_GUARDED ? FAR_PARAMS : FAR_PARAMS - FORM_GUARDED_PARAMS;
    return outbox_pg_send(s, SENT_PAGE, outbox_pg_page_name(s->form, late), n, params, err);
}

static int send_next(struct outbox_pg *s, struct error *err)
{
    if (outbox_pg_partitions_due(s)) {
        return outbox_pg_partitions_send(s, err);
    }
    return s->window.open ? send_page(s, err) : send_window(s, err);
}

/* The window is delivered: its s2 becomes s1. */
static void close_window(struct outbox_pg_window *w)
{
    uint64_t xmin, base = 0, now = 0;
    struct buf old = w->s1;
    w->s1 = w->s2;
    w->s2 = old;
    w->high = w->hi;
    w->open = false;
    (void)outbox_pg_snapshot_parse(buf_slice(&w->base), &xmin, &base);
    (void)outbox_pg_snapshot_parse(buf_slice(&w->s1), &xmin, &now);
    if (w->given || now - base >= BASE_AGE_XIDS) {
        keep_base(w);
    }
    w->given = false;
    w->last = OUTBOX_PG_LOWEST;
}

static int opened(struct outbox_pg *s, const struct pg_result *r, bool *ret_page, struct error *err)
{
    struct outbox_pg_window *w = &s->window;
    uint64_t xmin, xmax;
    /* The window's columns follow those of the page. */
    size_t at = PAGE_FURTHER + s->env->columns_count;
    if (pg_rows(r) < 1 || !outbox_pg_snapshot_parse(pg_value(r, 0, at), &xmin, &xmax)) {
        return error_set(err, ERROR_FATAL, "postgres", "the server's snapshot is not readable");
    }
    set_text(&w->s2, pg_value(r, 0, at));
    w->hi = pg_int(r, 0, at + 1, w->high);
    w->last = OUTBOX_PG_LOWEST;
    w->given = false;
    bool late = pg_true(r, 0, at + 2);
    w->stragglers_done = !late;
    w->open = true;
    *ret_page = !slice_is_null(pg_value(r, 0, PAGE_KEY)); /* without a row the join gives nulls */
    if (!late && !*ret_page && (w->with_page || w->hi == w->high)) {
        close_window(w);
        s->found_nothing = true;
        s->pending = 0;
    }
    return RESULT_DONE;
}

static int answered(struct outbox_pg *s, const struct pg_result *r, bool *ret_page,
                    struct error *err)
{
    if (s->sent == SENT_WINDOW) {
        return opened(s, r, ret_page, err);
    }
    if (s->sent == SENT_DAYS) {
        outbox_pg_days_taken(s, r);
    } else {
        outbox_pg_partitions_taken(s, r);
    }
    return RESULT_DONE;
}

/* The seq of a row: in position mode it is its key, and the text of its event's position. */
static int64_t seq_of(struct slice key)
{
    int64_t seq = OUTBOX_PG_LOWEST;
    /* Cannot fail: outbox_pg_demand accepts integer columns only. */
    (void)outbox_pg_number(key, &seq);
    return seq;
}

static void given(struct outbox_pg *s, struct batch *batch, struct slice key)
{
    struct outbox_pg_window *w = &s->window;
    if (slice_is_null(batch->context)) { /* of the batch's first row */
        CLEANUP(buf_release) struct buf prefix = {0};
        struct outbox_pg_cursor c = {
            .s1 = buf_slice(&w->s1), .s2 = buf_slice(&w->s2), .high = w->high, .hi = w->hi};
        outbox_pg_cursor_prefix(&c, &prefix);
        batch->context = arena_copy(&batch->arena, buf_slice(&prefix));
    }
    w->last = w->shown = seq_of(key);
    w->given = true;
}

static void page_ended(struct outbox_pg *s, size_t rows UNUSED, bool exhausted)
{
    struct outbox_pg_window *w = &s->window;
    if (!exhausted) {
        return;
    }
    bool fresh = !w->stragglers_done && w->hi > w->high;
    w->stragglers_done = true;
    if (!fresh) {
        close_window(w);
    }
    /* All rows are given. A poll right now would find a row or two and cost a statement for them,
     * so it waits for a moment. */
    s->next_poll_us = w->open ? 0 : s->sent_us + OUTBOX_PG_POLL_SHORTEST_US;
}

/* --- the mode --- */

static void cursor(const struct outbox_pg *s, const struct batch *batch, size_t index,
                   struct buf *out)
{
    const struct outbox_pg_window *w = &s->window;
    struct outbox_pg_cursor c;
    if (batch && index < batch->count) {
        buf_add_slice(out, batch->context);
        outbox_pg_add_int(out, seq_of(batch->events[index].position));
        return;
    }
    if (w->open && w->given) {
        c = (struct outbox_pg_cursor){.s1 = buf_slice(&w->s1),
                                      .s2 = buf_slice(&w->s2),
                                      .high = w->high,
                                      .hi = w->hi,
                                      .last = w->last};
    } else {
        c = (struct outbox_pg_cursor){
            .s1 = buf_slice(&w->base), .high = w->base_high, .hi = w->base_high, .last = w->shown};
    }
    outbox_pg_cursor_text(&c, out);
}

static int start(struct outbox_pg *s, struct slice text, struct error *err)
{
    return prepare(s, err) ? RESULT_ERROR : go_on_from(s, text, err);
}

static int idle(struct outbox_pg *s, bool *ret_idle, struct error *err UNUSED)
{
    *ret_idle = !s->window.open;
    return RESULT_DONE;
}

static bool knows(const struct outbox_pg *s UNUSED, struct slice text)
{
    struct outbox_pg_cursor parsed;
    return outbox_pg_cursor_parse(text, &parsed);
}

static void add_unsent(const struct outbox_pg *s, struct buf *out)
{
    struct outbox_pg_cursor stored;
    if (s->env->stored && outbox_pg_cursor_parse(*s->env->stored, &stored)) {
        buf_printf(out, "t.%s > (%lld)::bigint", s->table.column[OUTBOX_PG_SEQ].quoted,
                   (long long)(stored.last == OUTBOX_PG_LOWEST ? stored.high : stored.last));
    } else {
        buf_add_str(out, "true");
    }
}

const struct outbox_pg_mode outbox_pg_position = {.name = "position",
                                                  .caps = SOURCE_VOLATILE,
                                                  .has_positions = true,
                                                  .start = start,
                                                  .send = send_next,
                                                  .answered = answered,
                                                  .given = given,
                                                  .page_ended = page_ended,
                                                  .idle = idle,
                                                  .cursor = cursor,
                                                  .place = place,
                                                  .knows = knows,
                                                  .add_unsent = add_unsent,
                                                  .frontier = outbox_pg_position_frontier,
                                                  .add_delivered = outbox_pg_position_delivered};
