/*
 * Refuses, at the start, a table on which delivery could not be kept complete or in order. The
 * error holds the statement that mends it.
 */
#include "source/outbox_postgres/internal.h"

#include "schema/schema.h"

static int demand_select(const struct outbox_pg_table *t, const struct outbox_pg_found *column,
                         struct error *err)
{
    if (!column->name || column->may_select) {
        return RESULT_DONE;
    }
    error_exit(err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "postgres",
               "role %s may not read column %s of %s: grant select on %s to \"%s\"", t->user,
               column->quoted, t->quoted, t->quoted, t->user);
    return RESULT_ERROR;
}

static int demand_rights(const struct outbox_pg_conf *conf, const struct source_env *env,
                         const struct outbox_pg_table *t, struct error *err)
{
    for (int i = 0; i < OUTBOX_PG_COLUMNS; i++) {
        bool used = i != OUTBOX_PG_XID || outbox_pg_mode(conf)->has_positions;
        if (used && demand_select(t, &t->column[i], err)) {
            return RESULT_ERROR;
        }
    }
    for (size_t i = 0; i < env->columns_count; i++) {
        if (demand_select(t, &t->further[i], err)) {
            return RESULT_ERROR;
        }
    }
    if (demand_select(t, &t->order_column, err)) {
        return RESULT_ERROR;
    }
    if ((outbox_pg_mode(conf)->caps & SOURCE_ACK_REMOVES) && !t->may_delete) {
        return error_exit(err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "postgres",
                          "role %s may not delete from %s: grant delete on %s to \"%s\"", t->user,
                          t->quoted, t->quoted, t->user);
    }
    return RESULT_DONE;
}

/* Rows that a policy hides are passed over by the position, and would never be sent. */
static int demand_every_row(const struct outbox_pg_table *t, struct error *err)
{
    if (!t->row_security) {
        return RESULT_DONE;
    }
    return error_exit(
        err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "postgres",
        "row level security of %s hides rows from role %s, and what is hidden would never be delivered: ALTER ROLE \"%s\" BYPASSRLS",
        t->quoted, t->user, t->user);
}

/* A sequence with a cache hands numbers to sessions in blocks, so they do not grow with time, and a
 * later event of a key could be sent first. */
static int demand_growth(const struct outbox_pg_table *t, struct slice name, int64_t cache,
                         struct error *err)
{
    if (cache > 1) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "sequence %.*s of %s has CACHE %lld: sessions take numbers in blocks, so events of a key would come out of order; alter sequence %.*s cache 1",
            SLICE_FMT(name), t->quoted, (long long)cache, SLICE_FMT(name));
    }
    return error_set(
        err, ERROR_CONFIG, "postgres",
        "sequence %.*s of %s does not always grow; alter sequence %.*s increment by 1 no cycle",
        SLICE_FMT(name), t->quoted, SLICE_FMT(name));
}

/* Only a sequence gives a usable order. now() is the time at which a transaction began, the same
 * for all its events and unrelated to the order of writes; a uuid has no order at all. */
static int no_order(const struct outbox_pg_table *t, const struct outbox_pg_found *column,
                    struct error *err)
{
    return error_set(
        err, ERROR_CONFIG, "postgres",
        "column %s (%s) of %s gets its values from no sequence, so ordering by it does not keep the order of a key: name an identity column in source.order_by (alter table %s add column seq bigint generated always as identity), let the column own the sequence it comes from (alter sequence ... owned by %s.%s), or set delivery.ordered: false",
        column->quoted, column->format, t->quoted, t->quoted, t->quoted, column->quoted);
}

static int demand_sequence(struct pg *c, const struct source_env *env,
                           const struct outbox_pg_table *t, const struct outbox_pg_found *column,
                           struct error *err)
{
    struct pg_result *r = NULL;
    if (pg_query(c, schema_sql_column_sequences, 2, (const char *const[]){t->oid, column->name}, &r,
                 err)) {
        return RESULT_ERROR;
    }
    int rc = RESULT_DONE;
    if (pg_rows(r) == 0) {
        rc = env->ordered ? no_order(t, column, err) : RESULT_DONE;
    } else if (pg_true(r, 0, 2)) {
        rc = demand_growth(t, pg_value(r, 0, 0), pg_int(r, 0, 1, 1), err);
    }
    pg_result_free(r);
    return rc;
}

/* A row restored from another cluster may hold a transaction number that this cluster has not
 * reached. It would never be visible in a snapshot, and never be sent. */
static int demand_own_rows(struct pg *c, const struct outbox_pg_table *t, struct error *err)
{
    const struct outbox_pg_found *xid = &t->column[OUTBOX_PG_XID];
    if (!xid->indexed) {
        /* `check` reports the missing index; without it this query would read the whole table */
        return RESULT_DONE;
    }
    CLEANUP(buf_release) struct buf sql = {0};
    struct pg_result *r = NULL;
    buf_printf(&sql,
               "select exists (select from %s where %s >= pg_snapshot_xmax(pg_current_snapshot()))",
               t->quoted, xid->quoted);
    if (pg_query(c, buf_str(&sql), 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    bool foreign = pg_true(r, 0, 0);
    pg_result_free(r);
    if (foreign) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
            "table %s holds rows whose %s lies in this server's future (restored from another cluster?); they would never be delivered: update %s set %s = pg_current_xact_id() where %s >= pg_snapshot_xmax(pg_current_snapshot())",
            t->quoted, xid->quoted, t->quoted, xid->quoted, xid->quoted);
    }
    return RESULT_DONE;
}

static int demand_position(struct pg *c, const struct outbox_pg_table *t, struct error *err)
{
    const struct outbox_pg_found *seq = &t->column[OUTBOX_PG_SEQ], *xid = &t->column[OUTBOX_PG_XID];
    if (strcmp(xid->type, "xid8") != 0 || !xid->not_null) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "column %s of %s must be xid8 not null default pg_current_xact_id() for mode: position, and is %s%s: alter it, or use mode: status or delete",
            xid->quoted, t->quoted, xid->format, xid->not_null ? "" : " with nulls");
    }
    if (t->key != seq || strncmp(seq->type, "int", 3) != 0) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "column %s of %s must be a unique bigint for mode: position, and is %s%s: create unique index on %s (%s)",
            seq->quoted, t->quoted, seq->unique ? "" : "not unique ", seq->format, t->quoted,
            seq->quoted);
    }
    return demand_own_rows(c, t, err);
}

/* An INSTEAD rule takes the place of a mark, so no row would ever be marked. (What a trigger does
 * can only be seen after a mark.) */
static int demand_no_rule(struct pg *c, const struct outbox_pg_mode *mode,
                          const struct outbox_pg_table *t, struct error *err)
{
    struct pg_result *r = NULL;
    const char *const params[] = {t->oid, mode->rule_event};
    if (pg_query(c,
                 "select quote_ident(rulename) from pg_rewrite where ev_class = $1::oid and"
                 " ev_type = $2 and is_instead and ev_enabled in ('O', 'A')",
                 2, params, &r, err)) {
        return RESULT_ERROR;
    }
    int rc = RESULT_DONE;
    if (pg_rows(r) > 0) {
        struct slice name = pg_value(r, 0, 0);
        rc = error_set(
            err, ERROR_CONFIG, "postgres",
            "rule %.*s of %s does something instead of each %s, so no delivered row could be marked and each would be sent again: drop rule %.*s on %s, or use mode: position",
            SLICE_FMT(name), t->quoted, mode->statement, SLICE_FMT(name), t->quoted);
    }
    pg_result_free(r);
    return rc;
}

int outbox_pg_demand(struct pg *c, const struct outbox_pg_conf *conf, const struct source_env *env,
                     const struct outbox_pg_table *t, struct error *err)
{
    const struct outbox_pg_mode *mode = outbox_pg_mode(conf);
    if (t->standby) {
        /* RETRY, because it may be promoted, or the next address may be the primary */
        return error_set(
            err, ERROR_RETRY, "postgres",
            "the server is a standby, where an outbox cannot be read safely: connect to the primary (several hosts with target_session_attrs=read-write)");
    }
    if (demand_every_row(t, err) || demand_rights(conf, env, t, err)) {
        return RESULT_ERROR;
    }
    if ((mode->has_positions ? demand_position(c, t, err) : demand_no_rule(c, mode, t, err)) ||
        outbox_pg_demand_types(c, conf, t, err)) {
        return RESULT_ERROR;
    }
    if ((env->ordered || mode->has_positions) && t->order_column.name) {
        return demand_sequence(c, env, t, &t->order_column, err);
    }
    return RESULT_DONE;
}
