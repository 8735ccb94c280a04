/*
 * Replays in PostgreSQL: a row each, beside the pipelines' positions. No lock: the row's epoch,
 * which each start raises, tells two processes apart that go on with the same replay.
 */
#include "store/postgres/internal.h"

#include <stdio.h>

int store_pg_replay_add(void *store, const char *id, struct slice asked, struct error *err)
{
    struct store_pg *s = store;
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    bool there = false;
    if (store_pg_has_table(s, "replays", &there, err) || (!there && store_pg_make_tables(s, err)) ||
        store_pg_refuse_standby(s, err)) {
        return RESULT_ERROR;
    }
    const char *more[] = {id, store_pg_text(&arena, asked)};
    if (store_pg_ask(
            s,
            "with old as (delete from commitrelay.replays where pipeline = $1 and part = $2"
            " and id <> $3 and coalesce(saved_at, started_at) < now() - interval '30 days')"
            " insert into commitrelay.replays (pipeline, part, id, asked)"
            " values ($1, $2, $3, $4) on conflict do nothing",
            2, more, &r, err)) {
        return RESULT_ERROR;
    }
    return pg_affected(r) == 1
               ? RESULT_DONE
               : error_set(
                     err, ERROR_CONFIG, "postgres",
                     "pipeline %s has a replay %s already: go on with it (--resume), or choose "
                     "another id",
                     s->pipeline, id);
}

int store_pg_replay_list(void *store, int (*each)(void *ctx, const struct store_replay *r),
                         void *ctx, struct error *err)
{
    struct store_pg *s = store;
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    bool there = false;
    if (store_pg_has_table(s, "replays", &there, err)) {
        return RESULT_ERROR;
    }
    if (!there) {
        return RESULT_DONE;
    }
    if (store_pg_ask(s,
                     "select id, asked, delivered, (extract(epoch from started_at) *"
                     " 1000000)::bigint, (extract(epoch from saved_at) * 1000000)::bigint"
                     " from commitrelay.replays where pipeline = $1 and part = $2"
                     " order by started_at, id",
                     0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    int rc = 0;
    for (size_t row = 0; row < pg_rows(r) && rc == 0; row++) {
        struct store_replay one = {.asked = pg_value(r, row, 1),
                                   .delivered = (uint64_t)pg_int(r, row, 2, 0),
                                   .started_us = pg_int(r, row, 3, TIME_NONE),
                                   .saved_us = pg_int(r, row, 4, TIME_NONE)};
        store_pg_field(one.id, sizeof one.id, pg_value(r, row, 0));
        rc = each(ctx, &one);
    }
    return rc;
}

static int load(struct store_pg *s, const char *id, struct store_position *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (store_pg_ask(s,
                     "update commitrelay.replays set epoch = epoch + 1 where pipeline = $1 and"
                     " part = $2 and id = $3 returning cursor, delivered, epoch",
                     1, &id, &r, err)) {
        return RESULT_ERROR;
    }
    if (pg_rows(r) == 0) {
        return error_exit(err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
                          "the store of pipeline %s has no replay %s (any more)", s->pipeline, id);
    }
    buf_clear(&ret->cursor);
    buf_add_slice(&ret->cursor, pg_value(r, 0, 0));
    ret->delivered = (uint64_t)pg_int(r, 0, 1, 0);
    ret->epoch = s->epoch = pg_int(r, 0, 2, 0);
    snprintf(s->epoch_text, sizeof s->epoch_text, "%lld", (long long)s->epoch);
    return RESULT_DONE;
}

int store_pg_replay_start(void *store, const char *id, struct store_position *ret,
                          struct error *err)
{
    struct store_pg *s = store;
    store_pg_disconnect(s);
    s->replay[0] = '\0'; /* so that it may connect */
    if (store_pg_connect(s, &s->pg, err) || store_pg_refuse_standby(s, err) ||
        load(s, id, ret, err)) {
        return RESULT_ERROR;
    }
    snprintf(s->replay, sizeof s->replay, "%s", id);
    return pg_prepare(s->pg, store_pg_replay_save,
                      "update commitrelay.replays set cursor = $3, delivered = $4::bigint,"
                      " saved_at = now() where pipeline = $1 and part = $2"
                      " and epoch = $5::bigint and id = $6",
                      6, err);
}

int store_pg_replay_end(void *store, const char *id, struct error *err)
{
    return store_pg_ask(
        store, "delete from commitrelay.replays where pipeline = $1 and part = $2 and id = $3", 1,
        &id, NULL, err);
}
