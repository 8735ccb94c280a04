/*
 * Events that wait behind a dead letter of their key, in SQLite. They lie in the table of dead
 * letters with the state `waiting`. An event may get there twice, because it is read again after a
 * crash; the second time changes nothing.
 */
#include "store/sqlite/internal.h"

#include "schema/schema.h"

static struct slice or_empty(struct slice s)
{
    return slice_is_null(s) ? SLICE_LITERAL("") : s;
}

static int put(struct store_sqlite *s, struct sqlite_stmt *q, const struct store_dead_letter *d,
               int64_t *added, struct error *err)
{
    const struct slice texts[] = {or_empty(d->reason), or_empty(d->code), d->aggregatetype,
                                  d->aggregateid,      d->type,           d->created_at,
                                  d->payload_kind};
    store_sqlite_bind_key(s, q);
    sqlite_bind_text(q, 3, or_empty(d->event_id));
    sqlite_bind_text(q, 4, or_empty(d->position));
    sqlite_bind_text(q, 5, d->topic);
    sqlite_bind_blob(q, 6, d->key);
    sqlite_bind_blob(q, 7, d->payload);
    sqlite_bind_text(q, 8, d->headers);
    for (int i = 0; i < (int)(sizeof texts / sizeof *texts); i++) {
        sqlite_bind_text(q, 9 + i, texts[i]);
    }
    if (d->partition >= 0) {
        sqlite_bind_int(q, 16, d->partition);
    }
    if (sqlite_run(q, err)) {
        return RESULT_ERROR;
    }
    *added += sqlite_changes(s->db);
    return RESULT_DONE;
}

int store_sqlite_waiting_put(void *store, const struct store_dead_letter *d, size_t n,
                             int64_t *ret_added, struct error *err)
{
    struct store_sqlite *s = store;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    int64_t added = 0;
    if (store_sqlite_connect(s, false, err) || store_sqlite_ensure_tables(s, err) ||
        store_sqlite_prepare(s, schema_sql_sqlite_waiting_put, &q, err) ||
        sqlite_begin(s->db, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < n; i++) {
        if (put(s, q, &d[i], &added, err)) {
            sqlite_rollback(s->db);
            return RESULT_ERROR;
        }
    }
    if (sqlite_commit(s->db, err)) {
        return RESULT_ERROR;
    }
    *ret_added = added;
    return RESULT_DONE;
}

/* *ret stays NULL where nothing can wait, in tables of an earlier version too. */
static int prepare_for_all(struct store_sqlite *s, const char *sql, struct sqlite_stmt **ret,
                           struct error *err)
{
    bool there, whole = false;
    return store_sqlite_look(s, &there, err) ||
                   (there && store_sqlite_has_letters(s, &whole, err)) ||
                   (whole && store_sqlite_prepare(s, sql, ret, err))
               ? RESULT_ERROR
               : RESULT_DONE;
}

int store_sqlite_parked_list(void *store, int (*each)(void *ctx, const struct store_parked *k),
                             void *ctx, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row = true;
    if (prepare_for_all(store, schema_sql_sqlite_parked_list, &q, err)) {
        return RESULT_ERROR;
    }
    while (q && row) {
        if (sqlite_step(q, &row, err)) {
            return RESULT_ERROR;
        }
        struct store_parked k = {0};
        if (row) {
            k = (struct store_parked){sqlite_value(q, 0), sqlite_int(q, 1), sqlite_int(q, 2)};
        }
        int rc = row ? each(ctx, &k) : RESULT_DONE;
        if (rc) {
            return rc;
        }
    }
    return RESULT_DONE;
}

int store_sqlite_waiting_ids(void *store, int (*each)(void *ctx, struct slice event_id), void *ctx,
                             struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row = true;
    if (prepare_for_all(store,
                        "SELECT event_id FROM commitrelay_dead_letters WHERE pipeline = ?1 AND "
                        "part = ?2 AND parks AND state = '" STORE_LETTER_WAITING "'",
                        &q, err)) {
        return RESULT_ERROR;
    }
    while (q && row) {
        if (sqlite_step(q, &row, err)) {
            return RESULT_ERROR;
        }
        int rc = row ? each(ctx, sqlite_value(q, 0)) : RESULT_DONE;
        if (rc) {
            return rc;
        }
    }
    return RESULT_DONE;
}

struct page {
    int (*each)(void *ctx, const struct store_dead_letter *d);
    void *ctx;
    int64_t bytes, max_bytes;
    int rc; /* what `each` has answered */
};

static int give(void *ctx, const struct store_dead_letter *d)
{
    struct page *p = ctx;
    if (p->bytes >= p->max_bytes) {
        return RESULT_AGAIN;
    }
    p->bytes += (int64_t)d->payload.len;
    p->rc = p->each(p->ctx, d);
    return p->rc;
}

int store_sqlite_waiting_list(void *store, struct slice key, int64_t after, int64_t limit,
                              int64_t max_bytes,
                              int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                              struct error *err)
{
    struct store_sqlite *s = store;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    struct page page = {.each = each, .ctx = ctx, .max_bytes = max_bytes};
    if (store_sqlite_connect(s, false, err) ||
        store_sqlite_prepare(s, schema_sql_sqlite_waiting_list, &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_blob(q, 3, key);
    sqlite_bind_int(q, 4, after);
    sqlite_bind_int(q, 5, limit);
    return store_sqlite_give_letters(q, give, &page, err) == RESULT_ERROR ? RESULT_ERROR : page.rc;
}

int store_sqlite_waiting_sent(void *store, int64_t after, int64_t id, int64_t *ret_removed,
                              struct error *err)
{
    struct store_sqlite *s = store;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    if (store_sqlite_connect(s, false, err) || store_sqlite_ensure_tables(s, err) ||
        store_sqlite_prepare(s, schema_sql_sqlite_waiting_sent, &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(q, 3, id);
    sqlite_bind_int(q, 4, after);
    if (sqlite_run(q, err)) {
        return RESULT_ERROR;
    }
    *ret_removed = sqlite_changes(s->db);
    return RESULT_DONE;
}

int store_sqlite_waiting_failed(void *store, int64_t id, const struct store_dead_letter *why,
                                bool *ret_done, struct error *err)
{
    struct store_sqlite *s = store;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    char when[CLOCK_RFC3339_SIZE];
    if (store_sqlite_connect(s, false, err) ||
        store_sqlite_prepare(
            s,
            "UPDATE commitrelay_dead_letters SET state = '" STORE_LETTER_OPEN "', reason = ?4, "
            "code = CASE code WHEN '' THEN ?5 ELSE code END, attempts = ?6, first_failed_at = ?7, "
            "last_failed_at = ?7 WHERE pipeline = ?1 AND part = ?2 AND id = ?3 AND state = "
            "'" STORE_LETTER_WAITING "'",
            &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(q, 3, id);
    sqlite_bind_text(q, 4, why->reason);
    sqlite_bind_text(q, 5, why->code);
    sqlite_bind_int(q, 6, why->attempts);
    sqlite_bind_text(q, 7, store_sqlite_time(why->last_failed_us, when));
    if (sqlite_run(q, err)) {
        return RESULT_ERROR;
    }
    *ret_done = sqlite_changes(s->db) == 1;
    return RESULT_DONE;
}
