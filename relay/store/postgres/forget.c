/*
 * Removes all that is kept of a pipeline. The lock is taken first: a relay that runs the pipeline
 * would go on saving into a row that is gone. A relay that comes later begins as a new pipeline.
 * Of a pipeline that is divided all shards are removed: their relays share that lock.
 */
#include "store/postgres/internal.h"

int store_pg_forget(void *store, struct error *err)
{
    struct store_pg *s = store;
    struct store_pg_there there;
    if (store_pg_look(s, &there, err)) {
        return RESULT_ERROR;
    }
    if (!there.tables) {
        return RESULT_DONE;
    }
    int rc = store_pg_tables(s, err);
    rc = rc ? rc : store_pg_lock(s, err);
    return rc ? rc
              : store_pg_ask(s,
                             "with h as (delete from commitrelay.history"
                             " where pipeline = $1 and $2 in (part, '')),"
                             " c as (delete from commitrelay.control"
                             " where pipeline = $1 and $2 in (part, '')),"
                             " d as (delete from commitrelay.dead_letters"
                             " where pipeline = $1 and $2 in (part, '')),"
                             " r as (delete from commitrelay.replays"
                             " where pipeline = $1 and $2 in (part, ''))"
                             " delete from commitrelay.positions"
                             " where pipeline = $1 and $2 in (part, '')",
                             0, NULL, NULL, err);
}
