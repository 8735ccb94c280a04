/*
 * What becomes of a dead letter in PostgreSQL: it is closed, tried once more, edited, or removed
 * when it has been closed for long enough.
 */
#include "store/postgres/internal.h"

#include "schema/schema.h"

/* Matches one open dead letter: $3 is its number. */
#define OPEN_LETTER \
    " where pipeline = $1 and part = $2 and id = $3::bigint and state = '" STORE_LETTER_OPEN "'"

#define TIME_OF(param) "timestamptz 'epoch' + " param "::bigint * interval '1 microsecond'"

/* Runs an update of one letter. *ret_done: it changed that letter. */
static int change(struct store_pg *s, const char *sql, size_t n, const char *const *more,
                  bool *ret_done, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (store_pg_ask(s, sql, n, more, &r, err)) {
        return RESULT_ERROR;
    }
    *ret_done = pg_affected(r) == 1;
    return RESULT_DONE;
}

int store_pg_dead_letter_close(void *store, int64_t id, const char *state, int64_t edits,
                               int64_t now_us, bool *ret_done, struct error *err)
{
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    const char *more[] = {store_pg_int_param(&arena, id), state, store_pg_int_param(&arena, edits),
                          store_pg_int_param(&arena, now_us)};
    return change(store,
                  "update commitrelay.dead_letters set state = $4, closed_at = " TIME_OF("$6")
                      OPEN_LETTER " and $5::bigint in (-1, edits)",
                  sizeof more / sizeof *more, more, ret_done, err);
}

int store_pg_dead_letter_failed(void *store, int64_t id, struct slice reason, int64_t now_us,
                                bool *ret_done, struct error *err)
{
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    const char *more[] = {store_pg_int_param(&arena, id), store_pg_text(&arena, reason),
                          store_pg_int_param(&arena, now_us)};
    return change(store,
                  "update commitrelay.dead_letters set attempts = attempts + 1, reason = $4,"
                  " last_failed_at = " TIME_OF("$5") OPEN_LETTER,
                  sizeof more / sizeof *more, more, ret_done, err);
}

int store_pg_dead_letter_edit(void *store, int64_t id, int64_t edits,
                              const struct store_letter_edit *edit, bool *ret_done,
                              struct error *err)
{
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    const char *more[] = {store_pg_int_param(&arena, id),
                          store_pg_int_param(&arena, edits),
                          store_pg_int_param(&arena, edit->fields),
                          store_pg_text_param(&arena, edit->topic),
                          store_pg_bytes_param(&arena, edit->key),
                          store_pg_text_param(&arena, edit->headers),
                          store_pg_bytes_param(&arena, edit->payload)};
    return change(store,
                  "update commitrelay.dead_letters set edits = edits + 1, edited = $5::int,"
                  " edited_topic = $6, edited_key = $7::bytea, edited_headers = $8,"
                  " edited_payload = $9::bytea" OPEN_LETTER " and edits = $4::bigint",
                  sizeof more / sizeof *more, more, ret_done, err);
}

int store_pg_dead_letter_expire(void *store, int64_t before_us, int64_t limit, int64_t *ret_removed,
                                struct error *err)
{
    CLEANUP(arena_release) struct arena arena;
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    arena_init(&arena);
    const char *more[] = {store_pg_int_param(&arena, before_us), store_pg_int_param(&arena, limit)};
    if (store_pg_ask(store, schema_sql_dead_letter_expire, sizeof more / sizeof *more, more, &r,
                     err)) {
        return RESULT_ERROR;
    }
    *ret_removed = pg_int(r, 0, 0, 0);
    return RESULT_DONE;
}
