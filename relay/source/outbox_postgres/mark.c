/*
 * Status and delete modes: marks or deletes the rows whose events were delivered, and notes at a
 * row why its event was not.
 */
#include "source/outbox_postgres/internal.h"

#include <stdio.h>

/* --- statements --- */

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
    if (s->mode->has_status) {
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
               t->key->quoted, t->quoted, t->key->quoted, t->key->format,
               outbox_pg_pending_where(s));
}

int outbox_pg_mark_prepare(struct outbox_pg *s, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
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
    bool status = s->mode->has_status;
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
    if (!s->mode->has_status) {
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
