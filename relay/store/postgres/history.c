/*
 * The history of positions. Once a minute a save is another statement, which also adds its cursor
 * to the history and removes a few lines that are too old. So a line costs no message of its own,
 * and is there if and only if its position was saved.
 */
#include "store/postgres/internal.h"

#include <stdio.h>

static const char plain[] = "commitrelay_save", noting[] = "commitrelay_save_noting";

#define SAVE                                                                                  \
    "update commitrelay.positions set cursor = $3, delivered = $4::bigint, saved_at = now()," \
    " system_identifier = coalesce($6::bigint, system_identifier)"                            \
    " where pipeline = $1 and part = $2 and epoch = $5::bigint"

/* Of the lines older than 7 days the newest one stays: it says where the pipeline stood then. */
#define NOTE                                                                                 \
    "with saved as (" SAVE " returning 1),"                                                  \
    " noted as (insert into commitrelay.history (pipeline, part, at, cursor)"                \
    " select $1, $2, now(), $3 from saved on conflict do nothing),"                          \
    " old as (select at from commitrelay.history where pipeline = $1 and part = $2 and at <" \
    " (select max(at) from commitrelay.history where pipeline = $1 and part = $2"            \
    " and at <= now() - interval '7 days') order by at limit 20),"                           \
    " gone as (delete from commitrelay.history h using old"                                  \
    " where h.pipeline = $1 and h.part = $2 and h.at = old.at)"                              \
    " select from saved"

static int refuse_role(struct slice role, struct error *err)
{
    error_exit(
        err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "postgres",
        "role %.*s may not keep the history of positions: let an owner run `grant select, insert, delete on commitrelay.history to %.*s`",
        SLICE_FMT(role), SLICE_FMT(role));
    return error_code(err, PG_INSUFFICIENT_PRIVILEGE);
}

int store_pg_history_start(struct store_pg *s, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (pg_query(s->pg,
                 "select has_table_privilege('commitrelay.history', 'select')"
                 " and has_table_privilege('commitrelay.history', 'insert')"
                 " and has_table_privilege('commitrelay.history', 'delete'),"
                 " quote_ident(current_user)",
                 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    if (pg_rows(r) > 0 && !pg_true(r, 0, 0)) {
        return refuse_role(pg_value(r, 0, 1), err);
    }
    CLEANUP(pg_result_cleanup) struct pg_result *newest = NULL;
    if (store_pg_ask(s,
                     "select (extract(epoch from now() - max(at)) * 1000000)::bigint"
                     " from commitrelay.history where pipeline = $1 and part = $2",
                     0, NULL, &newest, err)) {
        return RESULT_ERROR;
    }
    int64_t age_us = pg_int(newest, 0, 0, STORE_HISTORY_EVERY_US);
    bool young = age_us >= 0 && age_us < STORE_HISTORY_EVERY_US;
    s->note_at_us = clock_mono_us() + (young ? STORE_HISTORY_EVERY_US - age_us : 0);
    return pg_prepare(s->pg, plain, SAVE, 6, err) == RESULT_DONE
               ? pg_prepare(s->pg, noting, NOTE, 6, err)
               : RESULT_ERROR;
}

const char *store_pg_save_statement(struct store_pg *s)
{
    int64_t now = clock_mono_us();
    if (now < s->note_at_us) {
        return plain;
    }
    s->note_at_us = now + STORE_HISTORY_EVERY_US;
    return noting;
}

/* `rest` follows the condition on the pipeline and may use $3, the time. *ret NULL: no history. */
static int ask(struct store_pg *s, const char *rest, int64_t at_us, struct pg_result **ret,
               struct error *err)
{
    char time[CLOCK_RFC3339_SIZE], sql[320];
    const char *more[] = {time};
    bool there;
    if (store_pg_has_table(s, "history", &there, err)) {
        return RESULT_ERROR;
    }
    clock_format_rfc3339(at_us, time);
    snprintf(sql, sizeof sql,
             "select (extract(epoch from at) * 1000000)::bigint, cursor from commitrelay.history"
             " where pipeline = $1 and part = $2 and at %s",
             rest);
    return there ? store_pg_ask(s, sql, 1, more, ret, err) : RESULT_DONE;
}

int store_pg_history_list(void *store, int64_t since_us,
                          int (*each)(void *ctx, int64_t at_us, struct slice cursor), void *ctx,
                          struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    int rc = ask(store, ">= $3::timestamptz order by at", since_us, &r, err);
    for (size_t i = 0; rc == RESULT_DONE && r && i < pg_rows(r); i++) {
        rc = each(ctx, pg_int(r, i, 0, 0), pg_value(r, i, 1));
    }
    return rc;
}

int store_pg_history_at(void *store, int64_t at_us, struct buf *ret_cursor, int64_t *ret_at_us,
                        struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (ask(store, "<= $3::timestamptz order by at desc limit 1", at_us, &r, err)) {
        return RESULT_ERROR;
    }
    buf_clear(ret_cursor);
    if (r && pg_rows(r) > 0) {
        *ret_at_us = pg_int(r, 0, 0, 0);
        buf_add_slice(ret_cursor, pg_value(r, 0, 1));
    }
    return RESULT_DONE;
}
