/*
 * Status and delete modes. Every read starts at the lowest pending row and leaves out the rows in
 * flight. Rows whose events are delivered are marked or deleted in mark.c. With delivery.ordered in
 * status mode, a row that waits for its next attempt makes the later rows of its key wait too.
 */
#include "source/outbox_postgres/internal.h"

#include <stdio.h>

/* A row that waits is looked at again after this time, because somebody may have reset its
 * next_attempt_at. */
#define LOOK_AGAIN "interval '5 s'"
enum { COUNT_EVERY_US = 5000000, COUNT_EXACTLY = 10000 };

static bool holds_back(const struct outbox_pg *s)
{
    return s->mode->has_status && s->env->ordered;
}

/* --- statements --- */

#define IS_DUE "(t.next_attempt_at is null or t.next_attempt_at <= now())"

/* $1: the rows in flight, which only wait for their mark */
static void add_pending(const struct outbox_pg *s, struct buf *out)
{
    const struct outbox_pg_found *key = s->table.key;
    buf_printf(out, "%s%s and t.%s not in (select unnest($1::%s[]))", outbox_pg_pending_where(s),
               s->table.shard, key->quoted, key->format);
}

/* Parameters: $1 keys of rows in flight, [$2 blocked keys,] limit (, largest, budget). */
static void page_sql(const struct outbox_pg *s, enum outbox_pg_form form, struct buf *out)
{
    const struct outbox_pg_table *t = &s->table;
    CLEANUP(buf_release) struct buf from = {0}, where = {0};
    buf_printf(&from, "%s t", t->quoted);
    add_pending(s, &where);
    if (holds_back(s)) {
        const char *key = t->column[OUTBOX_PG_AGGREGATEID].quoted;
        buf_printf(&where, " and coalesce(t.%s::text not in (select unnest($2::text[])), true)",
                   key);
        /* A row without a key blocks no other row. If it is not due it is left out here, or every
         * page would find it again. */
        buf_printf(&where, " and (t.%s is not null or " IS_DUE ")", key);
    } else if (s->mode->has_status) {
        buf_add_str(&where, " and " IS_DUE);
    }
    struct outbox_pg_page_sql sql = {
        .with = "",
        .from = buf_str(&from),
        .where = buf_str(&where),
        .order = t->order,
        .due = holds_back(s)
                   ? "case when t.next_attempt_at > now() then"
                     " 1 + (extract(epoch from least(t.next_attempt_at, now() + " LOOK_AGAIN
                     ") - now()) * 1000000)::bigint end"
                   : "null::bigint",
        .limit_param = holds_back(s) ? 3 : 2};
    outbox_pg_page_sql(t, s->env->columns_count, &sql, form, out);
}

static void count_sql(const struct outbox_pg *s, struct buf *out)
{
    const struct outbox_pg_table *t = &s->table;
    bool number = t->order_column.name && strncmp(t->order_column.type, "int", 3) == 0;
    buf_clear(out);
    buf_printf(out, "select (select count(*) from (select from %s t where %s%s limit %d) x), ",
               t->quoted, outbox_pg_pending_where(s), t->shard, COUNT_EXACTLY + 1);
    if (number) {
        buf_printf(out, "(select (max(t.%s) - min(t.%s)) / %d + 1 from %s t where %s)",
                   t->order_column.quoted, t->order_column.quoted, t->shards, t->quoted,
                   outbox_pg_pending_where(s));
    } else {
        buf_add_str(out, "null::bigint");
    }
}

static int prepare(struct outbox_pg *s, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    for (enum outbox_pg_form form = 0; form < FORM_COUNT; form++) {
        page_sql(s, form, &sql);
        size_t n = (holds_back(s) ? 3U : 2U) + (form == FORM_GUARDED ? FORM_GUARDED_PARAMS : 0U);
        if (pg_prepare(s->reader, outbox_pg_page_name(form, false), buf_str(&sql), n, err)) {
            return RESULT_ERROR;
        }
    }
    count_sql(s, &sql);
    return pg_prepare(s->reader, "count", buf_str(&sql), 0, err) || outbox_pg_mark_prepare(s, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

static int start(struct outbox_pg *s, struct slice cursor, struct error *err)
{
    if (!slice_is_null(cursor) && !slice_equal_str(cursor, s->mode->name)) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
            "the stored cursor of pipeline %s is not one of mode: %s (was the mode changed?): delivered rows may still be pending. Mark or delete them, then `position set beginning --yes`",
            s->env->pipeline, s->mode->name);
    }
    return outbox_pg_connect_mark(s, &s->mark, err) || prepare(s, err) ? RESULT_ERROR : RESULT_DONE;
}

/* Dead letters whose rows stay in the table count as in flight, so that they are passed over.
 * Otherwise each would be sent again after a restart. */
static int hold_dead_letters(struct outbox_pg *s, struct error *err)
{
    struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf sql = {0};
    buf_printf(&sql,
               "select position from %s where pipeline = $1 and part = $2"
               " and code = '" SOURCE_ROW_KEPT "'",
               s->env->store.dead_letters);
    const char *const params[] = {s->env->pipeline, s->env->store.part};
    if (pg_query(s->mark, buf_str(&sql), 2, params, &r, err)) {
        return error_prefix(err, "dead letters of rows that stay in %s", s->table.quoted);
    }
    for (size_t row = 0; row < pg_rows(r); row++) {
        outbox_pg_held_add(&s->held, pg_value(r, row, 0));
    }
    pg_result_free(r);
    return RESULT_DONE;
}

static int start_delete(struct outbox_pg *s, struct slice cursor, struct error *err)
{
    return start(s, cursor, err) ? RESULT_ERROR : hold_dead_letters(s, err);
}

/* --- reading --- */

static int send_page(struct outbox_pg *s, struct error *err)
{
    int64_t now = clock_mono_us();
    /* Counts only while rows are pending: a read that reaches the end shows itself how many there
     * are. */
    if (s->pending != 0 && now - s->pending_at_us >= COUNT_EVERY_US) {
        s->pending_at_us = now;
        return outbox_pg_send(s, SENT_COUNT, "count", 0, NULL, err);
    }
    outbox_pg_blocked_expire(&s->blocked, now);
    outbox_pg_held_array(&s->held, &s->held_param);
    outbox_pg_blocked_array(&s->blocked, &s->blocked_param);
    struct outbox_pg_limits limits;
    outbox_pg_limits(s, &limits);
    const char *params[5] = {buf_str(&s->held_param)};
    size_t n = 1;
    if (holds_back(s)) {
        params[n++] = buf_str(&s->blocked_param);
    }
    params[n++] = limits.limit;
    if (s->form == FORM_GUARDED) {
        params[n++] = limits.largest;
        params[n++] = limits.budget;
    }
    return outbox_pg_send(s, SENT_PAGE, outbox_pg_page_name(s->form, false), n, params, err);
}

/* How many rows are pending: exact, or if these are many an estimate. */
static int answered(struct outbox_pg *s, const struct pg_result *r, bool *ret_page UNUSED,
                    struct error *err UNUSED)
{
    if (s->sent == SENT_COUNT) {
        s->pending = pg_int(r, 0, 0, 0);
        if (s->pending > COUNT_EXACTLY) {
            s->pending = pg_int(r, 0, 1, s->pending);
        }
        s->pending -= (int64_t)s->held.live < s->pending ? (int64_t)s->held.live : s->pending;
    }
    return RESULT_DONE;
}

static bool may_give(struct outbox_pg *s, const struct pg_result *r, size_t row)
{
    if (!holds_back(s)) {
        return true;
    }
    struct slice key = pg_value(r, row, PAGE_AGGREGATEID);
    int64_t wait_us = pg_int(r, row, PAGE_DUE, 0);
    if (wait_us <= 0) {
        return slice_is_null(key) || (!s->page_full && !outbox_pg_blocked_has(&s->blocked, key));
    }
    /* No more keys can be remembered, so any later row of this page with a key may belong behind a
     * waiting one. */
    s->page_full =
        s->page_full || !outbox_pg_blocked_add(&s->blocked, key, clock_mono_us() + wait_us);
    return false;
}

static void given(struct outbox_pg *s, struct batch *batch, struct slice key)
{
    (void)batch;
    outbox_pg_held_add(&s->held, key);
    s->pending -= s->pending > 0;
}

/* Nothing is left to do when no row was given and there is no further row, or when too many keys
 * are blocked to look past them. */
static void page_ended(struct outbox_pg *s, size_t rows, bool exhausted)
{
    bool stuck = s->blocked.count >= OUTBOX_PG_BLOCKED_MAX;
    s->found_nothing = s->page_given == 0 && (exhausted || stuck);
    s->pending = exhausted ? (int64_t)rows - s->page_given : s->pending;
}

static int idle(struct outbox_pg *s, bool *ret_idle, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    struct pg_result *r = NULL;
    /* Rows in flight do not count: their mark may wait for this answer. */
    buf_printf(&sql, "select exists (select from %s t where ", s->table.quoted);
    add_pending(s, &sql);
    buf_add_char(&sql, ')');
    outbox_pg_held_array(&s->held, &s->held_param);
    const char *const params[] = {buf_str(&s->held_param)};
    if (pg_query(s->reader, buf_str(&sql), 1, params, &r, err)) {
        return RESULT_ERROR;
    }
    *ret_idle = slice_equal_str(pg_value(r, 0, 0), "f");
    pg_result_free(r);
    return RESULT_DONE;
}

/* --- the modes --- */

/* The state is in the rows, so the cursor text is only the name of the mode. */
static void cursor(const struct outbox_pg *s, const struct batch *batch, size_t index,
                   struct buf *out)
{
    (void)batch, (void)index;
    buf_add_str(out, s->mode->name);
}

static bool knows(const struct outbox_pg *s, struct slice text)
{
    return slice_equal_str(text, s->mode->name);
}

static int place(struct outbox_pg *s, const char *text, struct buf *ret_cursor, struct error *err)
{
    if (strcmp(text, "beginning") != 0) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "mode: %s has no position but the rows themselves; only \"beginning\" can be set. Mark or delete the rows that are not wanted",
            s->mode->name);
    }
    cursor(s, NULL, 0, ret_cursor);
    return RESULT_DONE;
}

static void add_unsent(const struct outbox_pg *s, struct buf *out)
{
    buf_add_str(out, outbox_pg_pending_where(s));
}

#define PENDING_MODE                                                                          \
    .send = send_page, .answered = answered, .may_give = may_give, .given = given,            \
    .page_ended = page_ended, .idle = idle, .cursor = cursor, .place = place, .knows = knows, \
    .add_unsent = add_unsent

/* Bits of pg_trigger.tgtype: a trigger for each row (1) that runs before the statement's effect
 * (2), and on which statement. */
enum { TRIGGER_BEFORE_ROW = 1 | 2, TRIGGER_DELETE = 8, TRIGGER_UPDATE = 16 };

const struct outbox_pg_mode outbox_pg_status = {.name = "status",
                                                .caps = SOURCE_ACK_KEYS,
                                                .has_status = true,
                                                .statement = "update",
                                                .rule_event = "2",
                                                .trigger_bits = TRIGGER_BEFORE_ROW | TRIGGER_UPDATE,
                                                .start = start,
                                                .frontier = outbox_pg_status_frontier,
                                                .add_delivered = outbox_pg_status_delivered,
                                                PENDING_MODE};

const struct outbox_pg_mode outbox_pg_delete = {.name = "delete",
                                                .caps = SOURCE_ACK_KEYS | SOURCE_ACK_REMOVES,
                                                .statement = "delete",
                                                .rule_event = "4",
                                                .trigger_bits = TRIGGER_BEFORE_ROW | TRIGGER_DELETE,
                                                .start = start_delete,
                                                PENDING_MODE};
