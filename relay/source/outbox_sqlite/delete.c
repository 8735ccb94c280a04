/*
 * Delete mode: every row in the table is pending. Every read begins at the lowest row that is not
 * in flight. A row is deleted by row id and event id, after its cursor is saved, and only while the
 * stored epoch is ours.
 *
 * No row in flight is above s->last, so rows above it are given without a look-up. A row below it
 * that is not in flight is rare: it has an explicit number, or one that was given again without
 * AUTOINCREMENT. Only a commit of another connection can add it, so it is looked for when
 * data_version has changed.
 */
#include "source/outbox_sqlite/internal.h"

#include <stdlib.h>
#include <string.h>

/* Rows deleted in one transaction. The application's writers wait while it runs, so it must be
 * short. */
enum { DELETE_CHUNK = 2000 };

/* Adds the rows that `list` names and that are not in flight. *ret_all: the end of the list was
 * reached. */
static int read_listed(struct outbox_sqlite *s, int64_t parameter, struct batch *batch,
                       size_t max_events, size_t max_bytes, bool *ret_all, struct error *err)
{
    bool row = true, full = false;
    *ret_all = false;
    sqlite_bind_int(s->list, 1, parameter);
    while (!full && batch->count < max_events) {
        if (sqlite_step(s->list, &row, err)) {
            return RESULT_ERROR;
        }
        if (!row) {
            *ret_all = true;
            return RESULT_DONE;
        }
        int64_t key = sqlite_int(s->list, 0);
        if (!outbox_sqlite_held_has(&s->held, key) &&
            outbox_sqlite_fetch(s, key, batch, max_bytes, &full, err)) {
            sqlite_reset(s->list);
            return RESULT_ERROR;
        }
    }
    sqlite_reset(s->list);
    return RESULT_DONE;
}

/* Dead letters whose rows stay in the table count as in flight, so that they are passed over.
 * Otherwise each would be sent again after a restart. */
static int hold_dead_letters(struct outbox_sqlite *s, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    CLEANUP(buf_release) struct buf sql = {0};
    const struct source_store *store = &s->env->store;
    bool there;
    if (sqlite_has_table(s->db, store->dead_letters, &there, err)) {
        return RESULT_ERROR;
    }
    if (!there) {
        return RESULT_DONE;
    }
    buf_printf(&sql,
               "SELECT CAST(position AS integer) FROM %s WHERE pipeline = ?1 AND part = ?2 AND "
               "code = '" SOURCE_ROW_KEPT "'",
               store->dead_letters);
    if (sqlite_prepare(s->db, buf_str(&sql), &q, err)) {
        return RESULT_ERROR;
    }
    bool row;
    sqlite_bind_text(q, 1, slice_from(s->env->pipeline));
    sqlite_bind_text(q, 2, slice_from(store->part));
    while (sqlite_step(q, &row, err) == RESULT_DONE) {
        if (!row) {
            return RESULT_DONE;
        }
        int64_t key = sqlite_int(q, 0);
        outbox_sqlite_held_add(&s->held, key);
        /* Rows above `last` are given without looking up the rows in flight. */
        s->last = key > s->last ? key : s->last;
    }
    return RESULT_ERROR;
}

/* Refuses a change from position mode while rows that it delivered are still there: delete mode
 * would send them again. */
static int refuse_delivered_rows(struct outbox_sqlite *s, int64_t last, struct error *err)
{
    int64_t lowest;
    if (sqlite_query_int(s->db, s->table.lowest, INT64_MAX, &lowest, err)) {
        return RESULT_ERROR;
    }
    if (lowest <= last) {
        return error_set(
            err, ERROR_CONFIG, "sqlite",
            "pipeline \"%s\" was run in position mode up to %lld, and table \"%s\" in \"%s\" still holds rows it delivered; delete those up to %lld, or send them again after `commitrelay position set ... beginning`",
            s->env->pipeline, (long long)last, s->conf->table, s->conf->path, (long long)last);
    }
    return RESULT_DONE;
}

static int go_on(struct outbox_sqlite *s, char letter, int64_t last, struct error *err)
{
    s->shown = last;
    s->last = INT64_MIN;
    if (letter != s->mode->letter && refuse_delivered_rows(s, last, err)) {
        return RESULT_ERROR;
    }
    return hold_dead_letters(s, err);
}

static int read_pending(struct outbox_sqlite *s, int64_t version, struct batch *batch,
                        size_t max_events, size_t max_bytes, struct error *err)
{
    bool all;
    if (!s->table.by_key) {
        int64_t limit = (int64_t)(s->held.count + max_events);
        return read_listed(s, limit, batch, max_events, max_bytes, &all, err);
    }
    if (s->held.count == 0) {
        s->last = INT64_MIN;
    } else if (s->probe || version != s->probed_version) {
        int64_t top = s->last;
        if (read_listed(s, top, batch, max_events, max_bytes, &all, err)) {
            return RESULT_ERROR;
        }
        if (!all) {
            return RESULT_DONE;
        }
        s->probe = false;
        s->probed_version = version;
    }
    return outbox_sqlite_page(s, batch, max_events, max_bytes, err);
}

/* Parses a row key as rows.c writes it: "<key> <id>" or "<key>". */
static int parse_key(struct outbox_sqlite *s, struct slice text, struct outbox_sqlite_key *ret,
                     struct error *err)
{
    char digits[24] = "";
    const char *blank = memchr(text.ptr, ' ', text.len);
    size_t n = blank ? (size_t)(blank - text.ptr) : text.len;
    char *end = digits;
    if (n > 0 && n < sizeof digits) {
        memcpy(digits, text.ptr, n);
        ret->key = strtoll(digits, &end, 10);
    }
    if (n == 0 || end != digits + n) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "sqlite",
            "\"%.*s\" is no row key of the outbox \"%s\" in \"%s\"; it was recorded by another kind of source: nothing was deleted",
            SLICE_FMT(text), s->conf->table, s->conf->path);
    }
    ret->id =
        blank ? arena_copy(&s->ack_arena, (struct slice){blank + 1, text.len - n - 1}) : SLICE_NULL;
    return RESULT_DONE;
}

static int take_keys(struct outbox_sqlite *s, const struct slice *keys, size_t n, struct error *err)
{
    arena_reset(&s->ack_arena);
    s->acks_count = s->acks_done = 0;
    s->acks = arena_array(&s->ack_arena, n, sizeof *s->acks);
    for (size_t i = 0; i < n; i++) {
        if (parse_key(s, keys[i], &s->acks[i], err)) {
            return RESULT_ERROR;
        }
    }
    s->acks_count = n;
    return RESULT_DONE;
}

static int prepare_fence(struct outbox_sqlite *s, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    buf_printf(&sql, "SELECT epoch FROM %s WHERE pipeline = ?1 AND part = ?2",
               s->env->store.positions);
    return sqlite_prepare(s->db, buf_str(&sql), &s->fence, err);
}

/* Another relay may have taken over: the stored epoch must still be ours. The write lock is held,
 * so this cannot change before the commit. */
static int check_fence(struct outbox_sqlite *s, struct error *err)
{
    if (!s->fence && prepare_fence(s, err)) {
        return RESULT_ERROR;
    }
    bool row;
    sqlite_bind_text(s->fence, 1, slice_from(s->env->pipeline));
    sqlite_bind_text(s->fence, 2, slice_from(s->env->store.part));
    if (sqlite_step(s->fence, &row, err)) {
        return RESULT_ERROR;
    }
    int64_t epoch = row ? sqlite_int(s->fence, 0) : 0;
    sqlite_reset(s->fence);
    if (!row || epoch != s->epoch) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "sqlite",
            "another relay has taken over pipeline \"%s\" in \"%s\" (epoch %lld, ours %lld); this one deletes nothing more: run only one",
            s->env->pipeline, s->conf->path, (long long)epoch, (long long)s->epoch);
    }
    return RESULT_DONE;
}

/* Deletes a row. *ret_left: it is still there, because a trigger keeps it. */
static int remove_row(struct outbox_sqlite *s, const struct outbox_sqlite_key *row, bool *ret_left,
                      struct error *err)
{
    struct sqlite_stmt *const both[] = {s->remove, s->left};
    for (size_t i = 0; i < 2; i++) {
        sqlite_bind_int(both[i], 1, row->key);
        sqlite_bind_text(both[i], 2, row->id);
    }
    if (sqlite_run(s->remove, err) || sqlite_step(s->left, ret_left, err)) {
        return RESULT_ERROR;
    }
    sqlite_reset(s->left);
    return RESULT_DONE;
}

static int remove_rows(struct outbox_sqlite *s, size_t end, struct error *err)
{
    if (check_fence(s, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = s->acks_done; i < end; i++) {
        bool left = false;
        if (remove_row(s, &s->acks[i], &left, err)) {
            return RESULT_ERROR;
        }
        if (left) {
            return error_set(
                err, ERROR_CONFIG, "sqlite",
                "row %lld of \"%s\" was delivered and is still there after the relay deleted it: a trigger of the table keeps it (raise(ignore), or inserting it again). Remove the trigger, or use mode: position",
                (long long)s->acks[i].key, s->conf->table);
        }
    }
    return sqlite_commit(s->db, err);
}

static int remove_chunk(struct outbox_sqlite *s, struct error *err)
{
    size_t left = s->acks_count - s->acks_done;
    size_t end = s->acks_done + (left < DELETE_CHUNK ? left : DELETE_CHUNK);
    if (sqlite_begin(s->db, err)) {
        return RESULT_ERROR;
    }
    if (remove_rows(s, end, err)) {
        sqlite_rollback(s->db);
        return RESULT_ERROR;
    }
    for (; s->acks_done < end; s->acks_done++) {
        outbox_sqlite_held_remove(&s->held, s->acks[s->acks_done].key);
    }
    return RESULT_DONE;
}

int outbox_sqlite_ack(void *source, const struct slice *keys, size_t n, struct error *err)
{
    struct outbox_sqlite *s = source;
    if (outbox_sqlite_connect(s, err)) {
        return RESULT_ERROR;
    }
    if (n > 0 && take_keys(s, keys, n, err)) {
        return RESULT_ERROR;
    }
    if (s->acks_done == s->acks_count) {
        return RESULT_DONE;
    }
    if (remove_chunk(s, err)) {
        return outbox_sqlite_busy(s, &s->ack_wait, err);
    }
    s->ack_wait.since_us = 0;
    if (s->acks_done < s->acks_count) {
        return RESULT_AGAIN;
    }
    /* A number that was in flight may have been given to a new row in the meantime. */
    s->probe = true;
    s->caught_up = false;
    return RESULT_DONE;
}

const struct outbox_sqlite_mode outbox_sqlite_delete_mode = {.letter = OUTBOX_SQLITE_LETTER_DELETE,
                                                             .caps = SOURCE_ACK_KEYS |
                                                                     SOURCE_ACK_REMOVES,
                                                             .go_on = go_on,
                                                             .read = read_pending};
