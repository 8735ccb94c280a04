/*
 * Events that wait behind a dead letter of their key, in PostgreSQL. They lie in the table of dead
 * letters with the state `waiting`. An event may get there twice, because it is read again after a
 * crash; the second time changes nothing.
 */
#include "store/postgres/internal.h"

#include "schema/schema.h"
#include "value/digest.h"

#include <stdio.h>

int store_pg_waiting_demand(struct store_pg *s, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (pg_query(s->pg,
                 "select has_table_privilege('commitrelay.dead_letters', 'delete'),"
                 " quote_ident(current_user)",
                 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    return pg_true(r, 0, 0)
               ? RESULT_DONE
               : error_exit(
                     err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "postgres",
                     "delivery.poison: park_key needs the right to remove what waited and was sent: grant delete on commitrelay.dead_letters to %.*s",
                     SLICE_FMT(pg_value(r, 0, 1)));
}

/* --- arrays, as parameters --- */

/* The columns of schema/sql/waiting_put.sql, from $3 on. */
enum { COLUMNS = 14, KEY = 3, PAYLOAD = 4 };

static struct slice column(const struct store_dead_letter *d, size_t i, char number[24])
{
    const struct slice texts[COLUMNS - 1] = {
        d->event_id, d->position,   d->topic,       d->key,           d->payload,
        d->headers,  d->reason,     d->code,        d->aggregatetype, d->aggregateid,
        d->type,     d->created_at, d->payload_kind};
    if (i < COLUMNS - 1) {
        return texts[i];
    }
    snprintf(number, 24, "%d", d->partition);
    return d->partition < 0 ? SLICE_NULL : slice_from(number);
}

/* A bytea within an array: its backslash is one of the array's, too. */
static void add_bytes(struct buf *out, struct slice bytes)
{
    buf_add_str(out, "\"\\\\x");
    buf_reserve(out, bytes.len * 2 + 1);
    digest_hex((const unsigned char *)bytes.ptr, bytes.len, out->data + out->len);
    out->len += bytes.len * 2;
    buf_add_char(out, '"');
}

static void add_element(struct buf *out, struct slice value, bool bytes, bool may_be_null)
{
    CLEANUP(arena_release) struct arena arena;
    if (slice_is_null(value) || bytes) {
        buf_add_str(out, out->len > 1 ? "," : "");
    }
    if (slice_is_null(value)) {
        buf_add_str(out, may_be_null ? "NULL" : "\"\"");
    } else if (bytes) {
        add_bytes(out, value);
    } else {
        arena_init(&arena);
        pg_array_element(out, slice_from(store_pg_text(&arena, value)));
    }
}

/* event_id, position, reason and code are never null in the table. */
static bool may_be_null(size_t i)
{
    return i > 1 && i != 6 && i != 7;
}

static void add_array(struct buf *out, const struct store_dead_letter *d, size_t n, size_t i)
{
    char number[24];
    buf_add_char(out, '{');
    for (size_t row = 0; row < n; row++) {
        add_element(out, column(&d[row], i, number), i == KEY || i == PAYLOAD, may_be_null(i));
    }
    buf_add_char(out, '}');
}

static void release(struct buf (*arrays)[COLUMNS])
{
    for (size_t i = 0; i < COLUMNS; i++) {
        buf_release(&(*arrays)[i]);
    }
}

int store_pg_waiting_put(void *store, const struct store_dead_letter *d, size_t n,
                         int64_t *ret_added, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(release) struct buf arrays[COLUMNS] = {{0}};
    const char *more[COLUMNS];
    for (size_t i = 0; i < COLUMNS; i++) {
        add_array(&arrays[i], d, n, i);
        more[i] = buf_str(&arrays[i]);
    }
    if (store_pg_ask(store, schema_sql_waiting_put, COLUMNS, more, &r, err)) {
        return RESULT_ERROR;
    }
    *ret_added = (int64_t)pg_affected(r);
    return RESULT_DONE;
}

/* --- the rest --- */

/* *ret: the rows; NULL where nothing can wait, in tables of an earlier version too. */
static int ask_for_all(struct store_pg *s, const char *sql, struct pg_result **ret,
                       struct error *err)
{
    struct store_pg_there there;
    return store_pg_look(s, &there, err) ||
                   (there.letters && store_pg_ask(s, sql, 0, NULL, ret, err))
               ? RESULT_ERROR
               : RESULT_DONE;
}

int store_pg_parked_list(void *store, int (*each)(void *ctx, const struct store_parked *k),
                         void *ctx, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    if (ask_for_all(store, schema_sql_parked_list, &r, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; r && i < pg_rows(r); i++) {
        struct store_parked k = {.key = store_pg_bytes(&arena, pg_value(r, i, 0)),
                                 .letter = pg_int(r, i, 1, 0),
                                 .waiting = pg_int(r, i, 2, 0)};
        int rc = each(ctx, &k);
        if (rc) {
            return rc;
        }
    }
    return RESULT_DONE;
}

int store_pg_waiting_ids(void *store, int (*each)(void *ctx, struct slice event_id), void *ctx,
                         struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (ask_for_all(store,
                    "select event_id from commitrelay.dead_letters where pipeline = $1"
                    " and part = $2 and parks and state = '" STORE_LETTER_WAITING "'",
                    &r, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; r && i < pg_rows(r); i++) {
        int rc = each(ctx, pg_value(r, i, 0));
        if (rc) {
            return rc;
        }
    }
    return RESULT_DONE;
}

int store_pg_waiting_list(void *store, struct slice key, int64_t after, int64_t limit,
                          int64_t max_bytes,
                          int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                          struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(arena_release) struct arena arena;
    int64_t last;
    arena_init(&arena);
    const char *more[] = {store_pg_bytes_param(&arena, key), store_pg_int_param(&arena, after),
                          store_pg_int_param(&arena, limit), store_pg_int_param(&arena, max_bytes)};
    return store_pg_ask(store, schema_sql_waiting_list, 4, more, &r, err)
               ? RESULT_ERROR
               : store_pg_give_letters(r, each, ctx, &last);
}

int store_pg_waiting_sent(void *store, int64_t after, int64_t id, int64_t *ret_removed,
                          struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    const char *more[] = {store_pg_int_param(&arena, id), store_pg_int_param(&arena, after)};
    if (store_pg_ask(store, schema_sql_waiting_sent, 2, more, &r, err)) {
        return RESULT_ERROR;
    }
    *ret_removed = (int64_t)pg_affected(r);
    return RESULT_DONE;
}

int store_pg_waiting_failed(void *store, int64_t id, const struct store_dead_letter *why,
                            bool *ret_done, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    const char *more[] = {store_pg_int_param(&arena, id), store_pg_text(&arena, why->reason),
                          store_pg_text(&arena, why->code),
                          store_pg_int_param(&arena, why->attempts),
                          store_pg_int_param(&arena, why->last_failed_us)};
    if (store_pg_ask(store,
                     "update commitrelay.dead_letters set state = '" STORE_LETTER_OPEN "',"
                     " reason = $4, code = case code when '' then $5 else code end,"
                     " attempts = $6::bigint, (first_failed_at, last_failed_at) ="
                     " (select t, t from (select timestamptz 'epoch'"
                     " + $7::bigint * interval '1 microsecond') f (t))"
                     " where pipeline = $1 and part = $2 and id = $3::bigint"
                     " and state = '" STORE_LETTER_WAITING "'",
                     5, more, &r, err)) {
        return RESULT_ERROR;
    }
    *ret_done = pg_affected(r) == 1;
    return RESULT_DONE;
}
