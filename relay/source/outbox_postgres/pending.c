/*
 * Status and delete modes. Every read starts at the lowest pending row and leaves out the rows in
 * flight. A row is marked or deleted only after its event was delivered. With delivery.ordered in
 * status mode, a row that waits for its next attempt makes the later rows of its key wait too.
 */
#include "source/outbox_postgres/internal.h"

#include <stdio.h>

/* A row that waits is looked at again after this time, because somebody may have reset its
 * next_attempt_at. */
#define LOOK_AGAIN "interval '5 s'"
enum { COUNT_EVERY_US = 5000000, COUNT_EXACTLY = 10000 };

static bool is_status(const struct outbox_pg *s)
{
    return s->mode->has_status;
}

static bool holds_back(const struct outbox_pg *s)
{
    return is_status(s) && s->env->ordered;
}

static const char *pending_where(const struct outbox_pg *s)
{
    return is_status(s) ? "t.status = 'pending'" : "true";
}

/* --- statements --- */

#define IS_DUE "(t.next_attempt_at is null or t.next_attempt_at <= now())"

/* $1: the rows in flight, which only wait for their mark */
static void add_pending(const struct outbox_pg *s, struct buf *out)
{
    const struct outbox_pg_found *key = s->table.key;
    buf_printf(out, "%s and t.%s not in (select unnest($1::%s[]))", pending_where(s), key->quoted,
               key->format);
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
    } else if (is_status(s)) {
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
    buf_printf(out, "select (select count(*) from (select from %s t where %s limit %d) x), ",
               t->quoted, pending_where(s), COUNT_EXACTLY + 1);
    if (number) {
        buf_printf(out, "(select max(t.%s) - min(t.%s) + 1 from %s t where %s)",
                   t->order_column.quoted, t->order_column.quoted, t->quoted, pending_where(s));
    } else {
        buf_add_str(out, "null::bigint");
    }
}

/* Appends a query that finds a row only while this relay still runs the pipeline (the epoch fences
 * off an older relay). Its parameters, from number `first` on: pipeline, part, epoch. */
static void add_fence(const struct outbox_pg *s, unsigned first, struct buf *out)
{
    buf_printf(out, "select from %s where pipeline = $%u and part = $%u and epoch = $%u::bigint",
               s->env->store.positions, first, first + 1, first + 2);
}

/* The largest number that the column attempts can hold. Counting stops there; without this limit
 * the mark of a row tried that often would fail. */
static long long most_attempts(const struct outbox_pg_table *t)
{
    const char *type = t->status[OUTBOX_PG_STATUS_ATTEMPTS].type;
    return strcmp(type, "int2") == 0 ? INT16_MAX : INT32_MAX;
}

/* $1 keys; $2 to $4 pipeline, part and epoch (add_fence). */
static void ack_sql(const struct outbox_pg *s, struct buf *out)
{
    const struct outbox_pg_table *t = &s->table;
    buf_clear(out);
    if (is_status(s)) {
        buf_printf(out,
                   "update %s t set status = 'done', attempts = case when t.attempts < %lld then"
                   " t.attempts + 1 else t.attempts end,"
                   " last_error = null, next_attempt_at = null, published_at = now()"
                   " where t.%s = any($1::%s[]) and t.status = 'pending' and exists (",
                   t->quoted, most_attempts(t), t->key->quoted, t->key->format);
    } else {
        buf_printf(out, "delete from %s t where t.%s = any($1::%s[]) and exists (", t->quoted,
                   t->key->quoted, t->key->format);
    }
    add_fence(s, 2, out);
    buf_add_char(out, ')');
}

/* Finds a row of $1 (just marked) that is still pending or still there. */
static void left_sql(const struct outbox_pg *s, struct buf *out)
{
    const struct outbox_pg_table *t = &s->table;
    buf_clear(out);
    buf_printf(out, "select t.%s from %s t where t.%s = any($1::%s[]) and %s limit 1",
               t->key->quoted, t->quoted, t->key->quoted, t->key->format, pending_where(s));
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
    if (pg_prepare(s->reader, "count", buf_str(&sql), 0, err)) {
        return RESULT_ERROR;
    }
    left_sql(s, &sql);
    if (pg_prepare(s->mark, "left", buf_str(&sql), 1, err)) {
        return RESULT_ERROR;
    }
    ack_sql(s, &sql);
    int rc = pg_prepare(s->mark, "ack", buf_str(&sql), 4, err);
    buf_clear(&sql);
    add_fence(s, 1, &sql);
    if (rc || pg_prepare(s->mark, "fence", buf_str(&sql), 3, err)) {
        return error_prefix(err, "marking rows of %s", s->table.quoted);
    }
    return RESULT_DONE;
}

static int start(struct outbox_pg *s, struct slice cursor, struct error *err)
{
    const char *mode = outbox_pg_modes[s->conf->mode];
    if (!slice_is_null(cursor) && !slice_equal_str(cursor, mode)) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
            "the stored cursor of pipeline %s is not one of mode: %s (was the mode changed?): delivered rows may still be pending. Mark or delete them, then `position set beginning --yes`",
            s->env->pipeline, mode);
    }
    return outbox_pg_connect_mark(s, &s->mark, err) || prepare(s, err) ? RESULT_ERROR : RESULT_DONE;
}

static int start_delete(struct outbox_pg *s, struct slice cursor, struct error *err)
{
    return start(s, cursor, err) ? RESULT_ERROR : outbox_pg_hold_dead_letters(s, err);
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

static void given(struct outbox_pg *s, struct batch *batch, struct event *e)
{
    (void)batch;
    outbox_pg_held_add(&s->held, e->row_key);
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

/* --- marking --- */

static int overtaken(const struct outbox_pg *s, struct error *err)
{
    return error_set(
        err, ERROR_RETRY, "postgres",
        "another relay has taken over pipeline %s: this one marks no rows and waits for its turn",
        s->env->pipeline);
}

/* The rows are still pending after the mark: a trigger, rule or policy undoes it. Without this
 * error the relay would send these rows again without end. */
static int without_effect(const struct outbox_pg *s, struct slice row, struct error *err)
{
    bool status = is_status(s);
    return error_set(
        err, ERROR_CONFIG, "postgres",
        "row %.*s is still %s after the relay %s it: a trigger, rule or policy of %s undoes what role \"%s\" does there. Exempt the role (a trigger: when (current_user <> '%s')), or use mode: position",
        SLICE_FMT(row), status ? "pending" : "there", status ? "marked" : "deleted",
        s->table.quoted, s->table.user, s->table.user);
}

static int ack_begin(struct outbox_pg *s, struct error *err)
{
    char epoch[24];
    snprintf(epoch, sizeof epoch, "%lld", (long long)s->epoch);
    const char *const params[] = {buf_str(&s->ack_param), s->env->pipeline, s->env->store.part,
                                  epoch};
    s->ack_running = s->ack_next;
    s->ack_next = ACK_NOTHING;
    s->ack_us = clock_mono_us();
    switch (s->ack_running) {
    case ACK_FENCE:
        return pg_send_prepared(s->mark, "fence", 3, params + 1, false, err);
    case ACK_LOOK:
        return pg_send_prepared(s->mark, "left", 1, params, false, err);
    case ACK_MARK:
    case ACK_NOTHING:
        break;
    }
    return pg_send_prepared(s->mark, "ack", 4, params, false, err);
}

/* If no row was touched, the rows are gone already (deleted by hand, or marked before a crash), or
 * another relay has taken over: the fence tells which. If rows were touched, a trigger may still
 * have undone the mark, so the rows are always looked at afterwards. */
static int ack_answered(struct outbox_pg *s, const struct pg_result *r, struct error *err)
{
    switch (s->ack_running) {
    case ACK_FENCE:
        s->ack_next = ACK_LOOK;
        return pg_rows(r) > 0 ? RESULT_DONE : overtaken(s, err);
    case ACK_LOOK:
        return pg_rows(r) == 0 ? RESULT_DONE : without_effect(s, pg_value(r, 0, 0), err);
    case ACK_MARK:
        s->ack_next = pg_affected(r) == 0 ? ACK_FENCE : ACK_LOOK;
        break;
    case ACK_NOTHING:
        break;
    }
    return RESULT_DONE;
}

/* Receives what has come. DONE: the connection is idle. AGAIN: not yet. */
static int ack_take(struct outbox_pg *s, struct error *err)
{
    while (pg_busy(s->mark)) {
        struct pg_result *r = NULL;
        int rc = pg_take(s->mark, &r, err);
        if (rc == RESULT_AGAIN) {
            return rc;
        }
        if (rc == RESULT_DONE && r) {
            rc = ack_answered(s, r, err);
        }
        pg_result_free(r);
        if (rc) {
            s->ack_next = s->ack_running = ACK_NOTHING;
            outbox_pg_watch_end(s, s->mark);
            return error_prefix(err, "marking delivered rows of %s", s->table.quoted);
        }
    }
    return RESULT_DONE;
}

int outbox_pg_ack(void *source, const struct slice *keys, size_t n, struct error *err)
{
    struct outbox_pg *s = source;
    if (n > 0) {
        buf_clear(&s->ack_param);
        buf_add_char(&s->ack_param, '{');
        for (size_t i = 0; i < n; i++) {
            pg_array_element(&s->ack_param, keys[i]);
            outbox_pg_held_acking(&s->held, keys[i]);
        }
        buf_add_char(&s->ack_param, '}');
        s->ack_next = ACK_MARK;
    }
    while (s->ack_next != ACK_NOTHING || s->ack_running != ACK_NOTHING) {
        /* The end of a statement that failed earlier may still be on its way. */
        int rc = ack_take(s, err);
        if (rc) {
            if (rc == RESULT_AGAIN) {
                outbox_pg_watch(s, s->mark, s->ack_us);
            }
            return rc;
        }
        s->ack_running = ACK_NOTHING;
        if (s->ack_next != ACK_NOTHING && ack_begin(s, err)) {
            s->ack_running = ACK_NOTHING;
            return RESULT_ERROR;
        }
    }
    outbox_pg_watch_end(s, s->mark);
    outbox_pg_held_acked(&s->held);
    return RESULT_DONE;
}

/* The note touched no row. DONE: the row is gone or settled. Error: another relay has taken over,
 * or the note had no effect. `fence`: pipeline, part and epoch. */
static int why_not_noted(const struct outbox_pg *s, struct pg *c, struct slice row_key,
                         const char *const *fence, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0}, rows = {0};
    struct pg_result *r = NULL;
    add_fence(s, 1, &sql);
    if (pg_query(c, buf_str(&sql), 3, fence, &r, err)) {
        return RESULT_ERROR;
    }
    bool ours = pg_rows(r) > 0;
    pg_result_free(r);
    if (!ours) {
        return overtaken(s, err);
    }
    left_sql(s, &sql);
    buf_add_char(&rows, '{');
    pg_array_element(&rows, row_key);
    buf_add_char(&rows, '}');
    if (pg_query(c, buf_str(&sql), 1, (const char *const[]){buf_str(&rows)}, &r, err)) {
        return RESULT_ERROR;
    }
    int rc = pg_rows(r) > 0 ? without_effect(s, row_key, err) : RESULT_DONE;
    pg_result_free(r);
    return rc;
}

/* Delete mode has no columns for this, and the row just stays. A note is rare, so it uses a
 * connection of its own and does not disturb statements under way. */
int outbox_pg_note_failure(void *source, struct slice row_key, int64_t attempts, const char *reason,
                           int64_t next_attempt_us, struct error *err)
{
    struct outbox_pg *s = source;
    if (!is_status(s)) {
        return RESULT_DONE;
    }
    CLEANUP(buf_release) struct buf sql = {0}, key = {0};
    char epoch[24], tries[24], next[CLOCK_RFC3339_SIZE];
    bool final = next_attempt_us == TIME_NONE;
    struct pg *c = NULL;
    struct pg_result *r = NULL;
    buf_printf(&sql,
               "update %s t set attempts = least($5::bigint, %lld), last_error = $6::text::%s,"
               " next_attempt_at = $7::timestamptz%s where t.%s = $1::%s and t.status = 'pending'"
               " and exists (",
               s->table.quoted, most_attempts(&s->table),
               /* A cast cuts a text that is too long. */
               s->table.status[OUTBOX_PG_STATUS_LAST_ERROR].format,
               final ? ", status = 'failed'" : "", s->table.key->quoted, s->table.key->format);
    add_fence(s, 2, &sql);
    buf_add_char(&sql, ')');
    snprintf(epoch, sizeof epoch, "%lld", (long long)s->epoch);
    snprintf(tries, sizeof tries, "%lld", (long long)attempts);
    buf_add_slice(&key, row_key);
    if (!final) {
        clock_format_rfc3339(next_attempt_us, next);
    }
    const char *const params[] = {
        buf_str(&key), s->env->pipeline,     s->env->store.part,  epoch,
        tries,         reason ? reason : "", final ? NULL : next,
    };
    int rc = outbox_pg_connect_mark(s, &c, err);
    rc = rc ? rc : pg_query(c, buf_str(&sql), 7, params, &r, err);
    rc = !rc && pg_affected(r) == 0 ? why_not_noted(s, c, row_key, params + 1, err) : rc;
    pg_result_free(r);
    pg_close(c);
    return rc;
}

/* --- the modes --- */

/* The state is in the rows, so the cursor text is only the name of the mode. */
static void cursor(const struct outbox_pg *s, const struct batch *batch, size_t index,
                   struct buf *out)
{
    (void)batch, (void)index;
    buf_add_str(out, outbox_pg_modes[s->conf->mode]);
}

static bool knows(const struct outbox_pg *s, struct slice text)
{
    return slice_equal_str(text, outbox_pg_modes[s->conf->mode]);
}

static int place(struct outbox_pg *s, const char *text, struct buf *ret_cursor, struct error *err)
{
    if (strcmp(text, "beginning") != 0) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "mode: %s has no position but the rows themselves; only \"beginning\" can be set. Mark or delete the rows that are not wanted",
            outbox_pg_modes[s->conf->mode]);
    }
    cursor(s, NULL, 0, ret_cursor);
    return RESULT_DONE;
}

static void add_unsent(const struct outbox_pg *s, struct buf *out)
{
    buf_add_str(out, pending_where(s));
}

#define PENDING_MODE                                                                   \
    .send = send_page, .may_give = may_give, .given = given, .page_ended = page_ended, \
    .idle = idle, .cursor = cursor, .place = place, .knows = knows, .add_unsent = add_unsent

/* Bits of pg_trigger.tgtype: a trigger for each row (1) that runs before the statement's effect
 * (2), and on which statement. */
enum { TRIGGER_BEFORE_ROW = 1 | 2, TRIGGER_DELETE = 8, TRIGGER_UPDATE = 16 };

const struct outbox_pg_mode outbox_pg_status = {.caps = SOURCE_ACK_KEYS,
                                                .has_status = true,
                                                .statement = "update",
                                                .rule_event = "2",
                                                .trigger_bits = TRIGGER_BEFORE_ROW | TRIGGER_UPDATE,
                                                .start = start,
                                                PENDING_MODE};

const struct outbox_pg_mode outbox_pg_delete = {.caps = SOURCE_ACK_KEYS | SOURCE_ACK_REMOVES,
                                                .statement = "delete",
                                                .rule_event = "4",
                                                .trigger_bits = TRIGGER_BEFORE_ROW | TRIGGER_DELETE,
                                                .start = start_delete,
                                                PENDING_MODE};
