/* What is gone, so that `verify` does not take it for lost or made up: how far the table was
 * pruned, and the dead letters that were removed. */
#include "store/postgres/internal.h"

#include "schema/schema.h"

/* The mark is so much younger than the prune's own bound. */
static const int64_t AHEAD_US = 60 * US_PER_SECOND;
#define PAGE "1000"

int store_pg_note_pruned(void *store, const char *table, int64_t older_than_us, struct error *err)
{
    struct store_pg *s = store;
    CLEANUP(arena_release) struct arena arena;
    CLEANUP(buf_release) struct buf name = {0};
    bool there;
    arena_init(&arena);
    if (pg_quote_table(&name, table, err) || store_pg_has_table(s, "pruned", &there, err)) {
        return RESULT_ERROR;
    }
    if (!there) {
        return error_set(err, ERROR_CONFIG, "postgres",
                         "the relay's tables are an earlier version's, and take no note of what is "
                         "pruned: start the relay once with this version");
    }
    const char *params[] = {buf_str(&name), store_pg_int_param(&arena, AHEAD_US - older_than_us)};
    return pg_query(s->pg, schema_sql_pruned_note, 2, params, NULL, err);
}

int store_pg_pruned(void *store, const char *table, int64_t *ret_us, struct error *err)
{
    struct store_pg *s = store;
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf name = {0};
    bool there;
    *ret_us = TIME_NONE;
    if (pg_quote_table(&name, table, err) || store_pg_has_table(s, "pruned", &there, err) ||
        (there && pg_query(s->pg, schema_sql_pruned_before, 1,
                           (const char *const[]){buf_str(&name)}, &r, err))) {
        return RESULT_ERROR;
    }
    *ret_us = there ? pg_int(r, 0, 0, TIME_NONE) : TIME_NONE;
    return RESULT_DONE;
}

/* Gives a page behind *last, and moves it; *ret_more: there may be another. */
static int give_removed(struct store_pg *s, int64_t *last, bool *ret_more,
                        int (*each)(void *ctx, struct slice event_id, int64_t edits), void *ctx,
                        struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    if (store_pg_ask(s,
                     "select event_id, edits, id from commitrelay.dead_letters where pipeline = $1"
                     " and part = $2 and state = '" STORE_LETTER_REMOVED "' and id > $3::bigint"
                     " order by id limit " PAGE,
                     1, (const char *const[]){store_pg_int_param(&arena, *last)}, &r, err)) {
        return RESULT_ERROR;
    }
    *ret_more = pg_rows(r) > 0;
    for (size_t i = 0; i < pg_rows(r); i++) {
        int rc = each(ctx, pg_value(r, i, 0), pg_int(r, i, 1, 0));
        if (rc) {
            return rc;
        }
        *last = pg_int(r, i, 2, INT64_MAX);
    }
    return RESULT_DONE;
}

int store_pg_removed_letters(void *store,
                             int (*each)(void *ctx, struct slice event_id, int64_t edits),
                             void *ctx, struct error *err)
{
    struct store_pg_there there;
    int64_t last = INT64_MIN;
    if (store_pg_look(store, &there, err)) {
        return RESULT_ERROR;
    }
    for (bool more = there.letters; more;) {
        int rc = give_removed(store, &last, &more, each, ctx, err);
        if (rc) {
            return rc;
        }
    }
    return RESULT_DONE;
}
