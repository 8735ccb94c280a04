/*
 * Reads a piece of the table again, for `replay` and `tail`: pages of rows above the last seq that
 * was given, in the order of seq, whatever mode the pipeline has. Nothing is marked. The place in
 * the piece is the seq of the last event, and its text is the cursor.
 *
 * `replay` gives only rows that the pipeline has delivered (delivered.c), so nothing is overtaken.
 * `tail` gives every row. Where the table has xid it reads as position mode does, so that it also
 * sees a row that commits after one with a higher seq.
 */
#include "source/outbox_postgres/internal.h"

#include <stdio.h>

enum { RANGE_PARAMS = 4 }; /* $1 after, $2 limit (, $3 largest, $4 budget) */

/* --- what the table must have --- */

static bool shows_every(const struct outbox_pg *s)
{
    return s->env->range && s->env->range->every;
}

static int demand_seq(const struct outbox_pg *s, struct error *err)
{
    const struct outbox_pg_found *seq = &s->table.column[OUTBOX_PG_SEQ];
    if (seq->name && s->table.key == seq && strncmp(seq->type, "int", 3) == 0) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "postgres",
        "%s goes by seq, and table %s has no unique integer column for it (source.columns.seq); add one: alter table %s add column seq bigint generated always as identity unique. Without it: %s",
        shows_every(s) ? "tail" : "replay", s->table.quoted, s->table.quoted,
        shows_every(s) ? "look at the table with psql"
                       : "set the rows to pending by hand (docs/REPLAY.md)");
}

/* Can position mode find this table's rows? (It finds those of other modes as well.) */
static bool has_xid(const struct outbox_pg_table *t)
{
    const struct outbox_pg_found *xid = &t->column[OUTBOX_PG_XID];
    return xid->name && strcmp(xid->type, "xid8") == 0 && xid->not_null && xid->may_select &&
           xid->indexed;
}

int outbox_pg_by_seq(struct outbox_pg *s, struct error *err)
{
    struct outbox_pg_table *t = &s->table;
    CLEANUP(buf_release) struct buf order = {0};
    if (demand_seq(s, err)) {
        return RESULT_ERROR;
    }
    buf_printf(&order, "t.%s", t->key->quoted);
    t->order_column = *t->key;
    t->order = arena_copy(&t->arena, buf_slice(&order)).ptr;
    if (shows_every(s)) {
        s->mode = has_xid(t) ? &outbox_pg_position : &outbox_pg_range;
    }
    return RESULT_DONE;
}

static int demand_time(const struct outbox_pg *s, struct error *err)
{
    const struct outbox_pg_found *created = &s->table.column[OUTBOX_PG_CREATED_AT];
    bool usable = created->name && strncmp(created->type, "timestamp", 9) == 0;
    return usable
               ? RESULT_DONE
               : error_set(
                     err, ERROR_CONFIG, "postgres",
                     "a time means created_at, and table %s has no timestamp of this name; map it with source.columns.created_at, or give positions (--from-position, --to-position)",
                     s->table.quoted);
}

static bool by_time(const struct source_range *range)
{
    return range->from_us != INT64_MIN || range->to_us != INT64_MAX;
}

/* --- conditions --- */

static void add_bound(const char *column, const char *operator, int64_t value, struct buf *out)
{
    buf_printf(out, " and t.%s %s ", column, operator);
    outbox_pg_add_literal(out, value);
}

static void add_time(const struct outbox_pg *s, const char *operator, int64_t us, struct buf *out)
{
    buf_add_str(out, " and ");
    outbox_pg_add_created_at(&s->table, out);
    buf_printf(out, " %s timestamptz 'epoch' + ", operator);
    outbox_pg_add_literal(out, us);
    buf_add_str(out, " * interval '1 microsecond'");
}

static void add_equal(const struct outbox_pg_found *column, const char *value, struct buf *out)
{
    if (value) {
        buf_printf(out, " and t.%s = ", column->quoted);
        pg_quote_literal(out, slice_from(value));
    }
}

static void add_ids(const struct outbox_pg_found *column, const struct source_range *range,
                    struct buf *out)
{
    if (range->ids_count > 0) {
        buf_printf(out, " and t.%s in (", column->quoted);
        for (size_t i = 0; i < range->ids_count; i++) {
            buf_add_str(out, i ? ", " : "");
            pg_quote_literal(out, slice_from(range->ids[i]));
        }
        buf_add_char(out, ')');
    }
}

static void add_range(const struct outbox_pg *s, const struct source_range *range, struct buf *out)
{
    const struct outbox_pg_found *column = s->table.column;
    buf_add_str(out, "true");
    if (range->from != INT64_MIN) {
        add_bound(column[OUTBOX_PG_SEQ].quoted, ">=", range->from, out);
    }
    if (range->to != INT64_MAX) {
        add_bound(column[OUTBOX_PG_SEQ].quoted, "<=", range->to, out);
    }
    if (range->from_us != INT64_MIN) {
        add_time(s, ">=", range->from_us, out);
    }
    if (range->to_us != INT64_MAX) {
        add_time(s, "<=", range->to_us, out);
    }
    add_ids(&column[OUTBOX_PG_ID], range, out);
    add_equal(&column[OUTBOX_PG_AGGREGATEID], range->key, out);
}

static int add_delivered(const struct outbox_pg *s, const struct source_range *range,
                         struct buf *out, struct error *err)
{
    const struct outbox_pg_mode *mode = outbox_pg_mode(s->conf);
    if (range->every) {
        buf_add_str(out, "true");
        return RESULT_DONE;
    }
    if (mode->add_delivered && range->frontier &&
        mode->add_delivered(s, slice_from(range->frontier), out)) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "postgres",
        "the replay of pipeline %s was begun with another source.mode: put it back, or "
        "begin a new replay",
        s->env->pipeline);
}

/* --- asked before it is read --- */

/* A connection of its own, with the table looked at. */
static int connect(struct outbox_pg *s, struct pg **ret, struct error *err)
{
    if (outbox_pg_connect(s, INT64_MAX, ret, err) ||
        outbox_pg_inspect(*ret, s->conf, s->env, &s->table, err) ||
        outbox_pg_demand(*ret, s->conf, s->env, &s->table, err)) {
        return RESULT_ERROR;
    }
    return outbox_pg_by_seq(s, err);
}

static void close_connection(struct pg **c)
{
    pg_close(*c);
}

int outbox_pg_frontier(void *source, struct slice cursor, struct buf *out, struct error *err)
{
    struct outbox_pg *s = source;
    const struct outbox_pg_mode *mode = s->mode;
    CLEANUP(close_connection) struct pg *c = NULL;
    if (!mode->frontier) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "pipeline %s has mode: delete, which removes each row once it is delivered: there is nothing to send again. Take the events from the topic or the batch files, or insert them again with their ids (docs/REPLAY.md)",
            s->env->pipeline);
    }
    return connect(s, &c, err) ? RESULT_ERROR : mode->frontier(s, c, cursor, out, err);
}

static void survey_sql(const struct outbox_pg *s, const struct source_range *range,
                       struct slice delivered, struct buf *out)
{
    const struct outbox_pg_table *t = &s->table;
    const char *seq = t->column[OUTBOX_PG_SEQ].quoted;
    struct source_range untimed = *range;
    untimed.from_us = INT64_MIN;
    untimed.to_us = INT64_MAX;
    bool timed = t->column[OUTBOX_PG_CREATED_AT].name != NULL;
    buf_printf(out,
               "select count(*) filter (where d), min(s) filter (where d), max(s) filter (where d),"
               " count(*) filter (where not d), (select min(%s) from %s), (select ",
               seq, t->quoted);
    if (timed) {
        buf_add_str(out, "(extract(epoch from ");
        outbox_pg_add_created_at(t, out);
        buf_printf(out, ") * 1000000)::bigint from %s t order by t.%s limit 1)", t->quoted, seq);
    } else {
        buf_add_str(out, "null::bigint)");
    }
    if (by_time(range)) {
        buf_printf(out, ", (select count(*) from %s t where t.%s is null and ", t->quoted,
                   t->column[OUTBOX_PG_CREATED_AT].quoted);
        add_range(s, &untimed, out);
        buf_add_char(out, ')');
    } else {
        buf_add_str(out, ", 0");
    }
    buf_printf(out, " from (select t.%s as s, coalesce(%.*s, false) as d from %s t where ", seq,
               SLICE_FMT(delivered), t->quoted);
    add_range(s, range, out);
    buf_add_str(out, ") x");
}

/* Class 22: what was given as id or key is no value of the column's type. */
static int refuse_value(const struct source_range *range, struct error *err)
{
    const char *value = range->ids_count ? range->ids[0] : range->key;
    if (value && strncmp(err->code, "22", 2) == 0) {
        struct error why = *err;
        return error_exit(err, ERROR_CONFIG, EXIT_CODE_USAGE, "postgres",
                          "%s--%s %s does not fit the type of its column: %s",
                          range->ids_count > 1 ? "one of those from " : "",
                          range->ids_count ? "id" : "key", value, why.text);
    }
    return error_prefix(err, "counting the events of the range");
}

int outbox_pg_survey(void *source, const struct source_range *range, struct source_survey *ret,
                     struct error *err)
{
    struct outbox_pg *s = source;
    struct pg_result *r = NULL;
    CLEANUP(close_connection) struct pg *c = NULL;
    CLEANUP(buf_release) struct buf sql = {0}, delivered = {0};
    if (connect(s, &c, err) || (by_time(range) && demand_time(s, err)) ||
        add_delivered(s, range, &delivered, err)) {
        return RESULT_ERROR;
    }
    survey_sql(s, range, buf_slice(&delivered), &sql);
    if (pg_query(c, buf_str(&sql), 0, NULL, &r, err)) {
        return refuse_value(range, err);
    }
    *ret = (struct source_survey){.count = pg_int(r, 0, 0, 0),
                                  .first = pg_int(r, 0, 1, 0),
                                  .last = pg_int(r, 0, 2, 0),
                                  .waiting = pg_int(r, 0, 3, 0),
                                  .lowest = pg_int(r, 0, 4, INT64_MAX),
                                  .lowest_us = pg_int(r, 0, 5, TIME_NONE),
                                  .untimed = pg_int(r, 0, 6, 0)};
    pg_result_free(r);
    return RESULT_DONE;
}

int outbox_pg_holds(void *source, const char *const *ids, size_t n,
                    int (*each)(void *ctx, struct slice id), void *ctx, struct error *err)
{
    struct outbox_pg *s = source;
    const struct source_range range = {.ids = ids, .ids_count = n};
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(close_connection) struct pg *c = NULL;
    CLEANUP(buf_release) struct buf sql = {0};
    if (connect(s, &c, err)) {
        return RESULT_ERROR;
    }
    const struct outbox_pg_found *id = &s->table.column[OUTBOX_PG_ID];
    buf_printf(&sql, "select t.%s from %s t where true", id->quoted, s->table.quoted);
    add_ids(id, &range, &sql);
    if (pg_query(c, buf_str(&sql), 0, NULL, &r, err)) {
        return refuse_value(&range, err);
    }
    for (size_t i = 0; i < pg_rows(r); i++) {
        int rc = each(ctx, pg_value(r, i, 0));
        if (rc) {
            return rc;
        }
    }
    return RESULT_DONE;
}

int outbox_pg_recent(void *source, int64_t n, struct buf *ret_cursor, struct error *err)
{
    struct outbox_pg *s = source;
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(close_connection) struct pg *c = NULL;
    CLEANUP(buf_release) struct buf sql = {0}, seq = {0};
    if (connect(s, &c, err)) {
        return RESULT_ERROR;
    }
    const char *key = s->table.key->quoted;
    buf_printf(&sql, "select %s from %s order by %s desc limit 1 offset %lld", key, s->table.quoted,
               key, (long long)n);
    if (pg_query(c, buf_str(&sql), 0, NULL, &r, err)) {
        return error_prefix(err, "looking for the last events of %s", s->table.quoted);
    }
    bool all = pg_rows(r) == 0; /* the table has at most n rows */
    if (s->mode->place) {
        buf_add_slice(&seq, all ? SLICE_LITERAL("beginning") : pg_value(r, 0, 0));
        return s->mode->place(s, n == 0 ? "now" : buf_str(&seq), ret_cursor, err);
    }
    outbox_pg_add_int(ret_cursor, all ? OUTBOX_PG_LOWEST : pg_int(r, 0, 0, OUTBOX_PG_LOWEST));
    return RESULT_DONE;
}

/* --- reading --- */

static int prepare(struct outbox_pg *s, struct error *err)
{
    const struct source_range *range = s->env->range;
    const struct outbox_pg_table *t = &s->table;
    CLEANUP(buf_release) struct buf from = {0}, where = {0}, sql = {0};
    buf_printf(&from, "%s t", t->quoted);
    buf_printf(&where, "t.%s > $1::bigint and ", t->key->quoted);
    add_range(s, range, &where);
    buf_add_str(&where, " and ");
    if (add_delivered(s, range, &where, err)) {
        return RESULT_ERROR;
    }
    struct outbox_pg_page_sql page = {.with = "",
                                      .from = buf_str(&from),
                                      .where = buf_str(&where),
                                      .order = t->order,
                                      .due = "null::bigint",
                                      .limit_param = 2};
    for (enum outbox_pg_form form = 0; form < FORM_COUNT; form++) {
        size_t n = form == FORM_GUARDED ? RANGE_PARAMS : RANGE_PARAMS - FORM_GUARDED_PARAMS;
        outbox_pg_page_sql(t, s->env->columns_count, &page, form, &sql);
        if (pg_prepare(s->reader, outbox_pg_page_name(form, false), buf_str(&sql), n, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

static int start(struct outbox_pg *s, struct slice cursor, struct error *err)
{
    const struct source_range *range = s->env->range;
    struct outbox_pg_window *w = &s->window;
    if ((by_time(range) && demand_time(s, err)) || prepare(s, err)) {
        return RESULT_ERROR;
    }
    w->last = range->from == INT64_MIN ? OUTBOX_PG_LOWEST : range->from - 1;
    if (!slice_is_null(cursor) && !outbox_pg_number(cursor, &w->last)) {
        return error_exit(err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
                          "the stored place of the replay is no seq: begin a new replay");
    }
    w->shown = w->high = w->last;
    w->hi = range->to;
    w->open = true;
    return RESULT_DONE;
}

static int send_page(struct outbox_pg *s, struct error *err)
{
    CLEANUP(buf_release) struct buf after = {0};
    struct outbox_pg_limits limits;
    outbox_pg_add_int(&after, s->window.last);
    outbox_pg_limits(s, &limits);
    const char *const params[RANGE_PARAMS] = {buf_str(&after), limits.limit, limits.largest,
                                              limits.budget};
    size_t n = s->form == FORM_GUARDED ? RANGE_PARAMS : RANGE_PARAMS - FORM_GUARDED_PARAMS;
    return outbox_pg_send(s, SENT_PAGE, outbox_pg_page_name(s->form, false), n, params, err);
}

static void given(struct outbox_pg *s, struct batch *batch, struct event *e)
{
    (void)batch;
    (void)outbox_pg_number(e->position, &s->window.last); /* cannot fail: demand_seq */
    s->window.shown = s->window.last;
}

static void page_ended(struct outbox_pg *s, size_t rows, bool exhausted)
{
    (void)rows;
    s->window.open = !exhausted;
    s->found_nothing = exhausted && s->page_given == 0;
}

static int idle(struct outbox_pg *s, bool *ret_idle, struct error *err)
{
    (void)err;
    *ret_idle = !s->window.open;
    return RESULT_DONE;
}

static void cursor(const struct outbox_pg *s, const struct batch *batch, size_t index,
                   struct buf *out)
{
    if (batch && index < batch->count) {
        buf_add_slice(out, batch->events[index].position);
    } else {
        outbox_pg_add_int(out, s->window.shown);
    }
}

static bool knows(const struct outbox_pg *s, struct slice text)
{
    (void)s;
    int64_t seq;
    return outbox_pg_number(text, &seq);
}

const struct outbox_pg_mode outbox_pg_range = {.has_positions = true,
                                               .start = start,
                                               .send = send_page,
                                               .given = given,
                                               .page_ended = page_ended,
                                               .idle = idle,
                                               .cursor = cursor,
                                               .knows = knows};
