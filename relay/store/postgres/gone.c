/* What is gone, so that `verify` does not take it for lost or made up: how far the table was
 * pruned, and the dead letters that were removed. */
#include "store/postgres/internal.h"

/* The mark is so much younger than the prune's own bound. */
static const int64_t AHEAD_US = 60 * US_PER_SECOND;

int store_pg_note_pruned(void *store, int64_t older_than_us, struct error *err)
{
    struct store_pg *s = store;
    CLEANUP(arena_release) struct arena arena;
    bool whole;
    arena_init(&arena);
    if (store_pg_ready(s, err) || store_pg_have_whole_tables(s, &whole, err)) {
        return RESULT_ERROR;
    }
    if (!whole) {
        return error_set(err, ERROR_CONFIG, "postgres",
                         "the relay's tables are an earlier version's, and take no note of what is "
                         "pruned: start the relay once with this version");
    }
    const char *more[] = {store_pg_int_param(&arena, AHEAD_US - older_than_us)};
    return store_pg_ask(s,
                        "update commitrelay.positions set pruned_before = greatest(pruned_before,"
                        " now() + $3::bigint * interval '1 microsecond')"
                        " where pipeline = $1 and part = $2",
                        1, more, NULL, err);
}

int store_pg_pruned(void *store, int64_t *ret_us, struct error *err)
{
    struct store_pg *s = store;
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    bool whole;
    *ret_us = TIME_NONE;
    if (store_pg_ready(s, err) || store_pg_have_whole_tables(s, &whole, err) ||
        (whole && store_pg_ask(s,
                               "select (extract(epoch from max(p.pruned_before)) * 1000000)::bigint"
                               " from commitrelay.positions p join commitrelay.positions own"
                               " using (source_table) where own.pipeline = $1 and own.part = $2",
                               0, NULL, &r, err))) {
        return RESULT_ERROR;
    }
    *ret_us = whole ? pg_int(r, 0, 0, TIME_NONE) : TIME_NONE;
    return RESULT_DONE;
}

int store_pg_removed_letters(void *store,
                             int (*each)(void *ctx, struct slice event_id, int64_t edits),
                             void *ctx, struct error *err)
{
    struct store_pg *s = store;
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    bool whole;
    if (store_pg_ready(s, err) || store_pg_have_whole_tables(s, &whole, err) ||
        (whole &&
         store_pg_ask(s,
                      "select event_id, edits from commitrelay.dead_letters where"
                      " pipeline = $1 and part = $2 and state = '" STORE_LETTER_REMOVED "'",
                      0, NULL, &r, err))) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; r && i < pg_rows(r); i++) {
        int rc = each(ctx, pg_value(r, i, 0), pg_int(r, i, 1, 0));
        if (rc) {
            return rc;
        }
    }
    return RESULT_DONE;
}
