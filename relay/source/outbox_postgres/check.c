/*
 * `check --connect`: reports every fault of the table, each with the statement that mends it.
 */
#include "source/outbox_postgres/internal.h"

#include "schema/schema.h"

#include <stdio.h>

struct report {
    finding_report *each;
    void *ctx;
};

static void tell(const struct report *to, int exit_code, const struct buf *text,
                 const struct buf *remedy)
{
    to->each(to->ctx, exit_code, buf_str(text), buf_str(remedy));
}

static void check_indexes(const struct outbox_pg_mode *mode, const struct outbox_pg_table *t,
                          const struct report *to)
{
    CLEANUP(buf_release) struct buf text = {0}, remedy = {0};
    const struct outbox_pg_found *xid = &t->column[OUTBOX_PG_XID];
    if (mode->has_positions && !t->column[OUTBOX_PG_SEQ].indexed) {
        /* a key of a partitioned table may begin with another column */
        const char *seq = t->column[OUTBOX_PG_SEQ].quoted;
        buf_printf(&text, "no index of %s leads with %s: every read sorts all of it", t->quoted,
                   seq);
        buf_printf(&remedy, "create index on %s (%s)", t->quoted, seq);
        tell(to, EXIT_CODE_CONFIG, &text, &remedy);
        buf_clear(&text);
        buf_clear(&remedy);
    }
    if (mode->has_positions && !xid->indexed) {
        buf_printf(&text, "no index of %s leads with %s: late rows are looked for in all of it",
                   t->quoted, xid->quoted);
        buf_printf(&remedy, "create index concurrently on %s (%s, %s)", t->quoted, xid->quoted,
                   t->column[OUTBOX_PG_SEQ].quoted);
        tell(to, EXIT_CODE_CONFIG, &text, &remedy);
    } else if (!mode->has_positions && t->order_column.name && !t->order_column.indexed) {
        buf_printf(&text, "no index of %s leads with %s: every read sorts all of it", t->quoted,
                   t->order_column.quoted);
        buf_printf(&remedy, "create index concurrently on %s (%s)%s", t->quoted,
                   t->order_column.quoted, mode->has_status ? " where status = 'pending'" : "");
        tell(to, EXIT_CODE_CONFIG, &text, &remedy);
    }
}

/* Two rows with the same id are both sent, but a consumer that drops repeated ids drops the second.
 * A partitioned table can only have them unique in each partition. */
static void check_ids(const struct outbox_pg_table *t, const struct report *to)
{
    const struct outbox_pg_found *id = &t->column[OUTBOX_PG_ID];
    if (!id->unique && !t->partitioned) {
        CLEANUP(buf_release) struct buf text = {0}, remedy = {0};
        buf_printf(
            &text,
            "column %s of %s is not unique: of two rows with one id consumers drop the second",
            id->quoted, t->quoted);
        buf_printf(&remedy, "create unique index concurrently on %s (%s)", t->quoted, id->quoted);
        tell(to, 0, &text, &remedy);
    }
}

/* Only the owner makes and drops partitions; a prune by another role removes row by row. */
static void check_partitioning(const struct outbox_pg *s, const struct report *to)
{
    const struct outbox_pg_table *t = &s->table;
    if (s->conf->prune.given && t->partitioned && t->to_partition[0]) {
        CLEANUP(buf_release) struct buf text = {0}, remedy = {0};
        buf_printf(&text,
                   "role %s may neither make nor drop partitions of %s: source.prune removes row "
                   "by row, and makes no partition for the days to come",
                   t->user, t->quoted);
        buf_add_str(&remedy, t->to_partition);
        tell(to, 0, &text, &remedy);
    }
}

static void check_zone(const struct outbox_pg_table *t, const struct report *to)
{
    if (t->zone) {
        CLEANUP(buf_release) struct buf text = {0}, remedy = {0};
        const char *created = t->column[OUTBOX_PG_CREATED_AT].quoted;
        buf_printf(
            &text,
            "column %s of %s has no time zone: it is read as %s, the TimeZone of role and database; what a session with another one wrote is shifted",
            created, t->quoted, t->zone);
        buf_printf(&remedy, "alter table %s alter column %s type timestamptz", t->quoted, created);
        tell(to, 0, &text, &remedy);
    }
}

/* Reports a trigger that runs before the mark. Whether it lets the mark pass cannot be seen
 * beforehand. */
static int check_triggers(struct pg *c, const struct outbox_pg_mode *mode,
                          const struct outbox_pg_table *t, const struct report *to,
                          struct error *err)
{
    if (mode->has_positions) {
        return RESULT_DONE;
    }
    struct pg_result *r = NULL;
    char bits[8];
    snprintf(bits, sizeof bits, "%d", mode->trigger_bits);
    if (pg_query(c,
                 "select quote_ident(tgname) from pg_trigger where tgrelid = $1::oid and not"
                 " tgisinternal and tgenabled in ('O', 'A') and tgtype::int & $2::int = $2::int",
                 2, (const char *const[]){t->oid, bits}, &r, err)) {
        return RESULT_ERROR;
    }
    if (pg_rows(r) > 0) {
        CLEANUP(buf_release) struct buf text = {0}, remedy = {0};
        buf_printf(
            &text,
            "trigger %.*s of %s runs before the relay's marks: where it returns null, the pipeline stops",
            SLICE_FMT(pg_value(r, 0, 0)), t->quoted);
        buf_printf(&remedy, "exempt the role: when (current_user <> '%s')", t->user);
        tell(to, 0, &text, &remedy);
    }
    pg_result_free(r);
    return RESULT_DONE;
}

/* Without a partial index the relay still works, but each read walks over all rows that are done.
 */
static int check_partial_index(struct pg *c, const struct outbox_pg_mode *mode,
                               const struct outbox_pg_table *t, const struct report *to,
                               struct error *err)
{
    if (!mode->has_status) {
        return RESULT_DONE;
    }
    struct pg_result *r = NULL;
    if (pg_query(c,
                 "select from pg_index where indrelid = $1::oid and indisvalid"
                 " and pg_get_expr(indpred, indrelid) like '%status%pending%'",
                 1, (const char *const[]){t->oid}, &r, err)) {
        return RESULT_ERROR;
    }
    size_t n = pg_rows(r);
    pg_result_free(r);
    if (n == 0) {
        CLEANUP(buf_release) struct buf text = {0}, remedy = {0};
        const char *order = t->order_column.name ? t->order_column.quoted : t->key->quoted;
        buf_printf(
            &text,
            "no partial index holds the pending rows of %s: every read walks over the done ones",
            t->quoted);
        buf_printf(&remedy, "create index concurrently on %s (%s) where status = 'pending'",
                   t->quoted, order);
        tell(to, EXIT_CODE_CONFIG, &text, &remedy);
    }
    return RESULT_DONE;
}

static void check_xid_default(const struct outbox_pg_mode *mode, const struct outbox_pg_table *t,
                              const struct report *to)
{
    const struct outbox_pg_found *xid = &t->column[OUTBOX_PG_XID];
    if (mode->has_positions && !strstr(xid->fallback, "pg_current_xact_id")) {
        CLEANUP(buf_release) struct buf text = {0}, remedy = {0};
        buf_printf(
            &text,
            "column %s of %s has no default pg_current_xact_id(): a row with any other value is delivered too early or never",
            xid->quoted, t->quoted);
        buf_printf(&remedy, "alter table %s alter column %s set default pg_current_xact_id()",
                   t->quoted, xid->quoted);
        tell(to, EXIT_CODE_CONFIG, &text, &remedy);
    }
}

/* With synchronous_commit = off a row can be read and sent before its commit is durable. After a
 * crash of the server the event was sent and the row is gone. */
static int check_commits(struct pg *c, const struct report *to, struct error *err)
{
    struct pg_result *r = NULL;
    if (pg_query(c, schema_sql_unsafe_commits, 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < pg_rows(r); i++) {
        CLEANUP(buf_release) struct buf text = {0}, remedy = {0};
        buf_printf(
            &text,
            "%.*s commits with synchronous_commit = off: after a crash of the server an event may have been sent whose commit is lost",
            SLICE_FMT(pg_value(r, i, 0)));
        buf_printf(&remedy, "%.*s set synchronous_commit = on", SLICE_FMT(pg_value(r, i, 1)));
        tell(to, 0, &text, &remedy);
    }
    pg_result_free(r);
    return RESULT_DONE;
}

/* Applications written for Debezium's outbox delete the row right after inserting it, and such rows
 * are lost for delete mode. Many deletes that this pipeline did not make look like that. */
static int check_deletes(struct pg *c, const struct outbox_pg_mode *mode,
                         const struct outbox_pg_table *t, const struct source_env *env,
                         const struct report *to, struct error *err)
{
    if (!(mode->caps & SOURCE_ACK_REMOVES)) {
        return RESULT_DONE;
    }
    struct pg_result *r = NULL;
    if (pg_query(c,
                 "select n_tup_ins, n_tup_del, to_regclass($2) is not null"
                 " from pg_stat_all_tables where relid = $1::oid",
                 2, (const char *const[]){t->oid, env->store.positions}, &r, err)) {
        return RESULT_ERROR;
    }
    int64_t inserted = pg_int(r, 0, 0, 0), deleted = pg_int(r, 0, 1, 0), relayed = 0;
    bool stored = pg_rows(r) > 0 && pg_true(r, 0, 2);
    pg_result_free(r);
    r = NULL;
    CLEANUP(buf_release) struct buf sql = {0};
    buf_printf(&sql, "select delivered from %s where pipeline = $1 and part = $2",
               env->store.positions);
    if (stored &&
        pg_query(c, buf_str(&sql), 2, (const char *const[]){env->pipeline, env->store.part}, &r,
                 err) == RESULT_DONE) {
        relayed = pg_rows(r) > 0 ? pg_int(r, 0, 0, 0) : 0;
        pg_result_free(r);
    }
    if (deleted > 100 && deleted > relayed && deleted > inserted / 2) {
        CLEANUP(buf_release) struct buf text = {0}, remedy = {0};
        buf_printf(
            &text,
            "%lld rows of %s were deleted, and this pipeline delivered %lld: if the application deletes its own rows, they are lost for mode: delete",
            (long long)deleted, t->quoted, (long long)relayed);
        buf_add_str(
            &remedy,
            "leave deleting to the relay, or read the replication stream instead (docs/CDC.md)");
        tell(to, 0, &text, &remedy);
    }
    return RESULT_DONE;
}

/* The time of the first row that would be sent goes to s->oldest_us; the sink's check compares it
 * with its own limits on age. */
static int find_oldest(struct outbox_pg *s, struct pg *c, struct error *err)
{
    const struct outbox_pg_table *t = &s->table;
    CLEANUP(buf_release) struct buf sql = {0};
    struct pg_result *r = NULL;
    if (!t->column[OUTBOX_PG_CREATED_AT].name || !t->order[0]) {
        return RESULT_DONE;
    }
    buf_add_str(&sql, "select ");
    outbox_pg_add_created_at(t, &sql);
    buf_printf(&sql, " from %s t where ", t->quoted);
    s->mode->add_unsent(s, &sql);
    buf_printf(&sql, " order by %s limit 1", t->order);
    if (pg_query(c, buf_str(&sql), 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    struct slice text = pg_rows(r) > 0 ? pg_value(r, 0, 0) : SLICE_NULL;
    if (slice_is_null(text) || !clock_parse_timestamp(text, &s->oldest_us)) {
        s->oldest_us = TIME_NONE;
    }
    pg_result_free(r);
    return RESULT_DONE;
}

int outbox_pg_check(void *source, finding_report *each, void *ctx, struct error *err)
{
    struct outbox_pg *s = source;
    const struct report to = {each, ctx};
    struct pg *c = NULL;
    if (outbox_pg_connect(s, INT64_MAX, &c, err)) {
        return RESULT_ERROR;
    }
    size_t faults = 0;
    int rc = outbox_pg_inspect_all(c, s->conf, s->env, &s->table, each, ctx, &faults, err);
    if (!rc && faults == 0) {
        struct error fault;
        if (outbox_pg_demand(c, s->conf, s->env, &s->table, &fault)) {
            each(ctx, fault.exit_code, fault.text, "");
        }
        if (s->conf->prune.given && outbox_pg_judge_prune(s->conf, &s->table, &fault)) {
            each(ctx, fault.exit_code, fault.text, "");
        }
        check_indexes(s->mode, &s->table, &to);
        check_xid_default(s->mode, &s->table, &to);
        check_ids(&s->table, &to);
        check_partitioning(s, &to);
        check_zone(&s->table, &to);
        rc = check_partial_index(c, s->mode, &s->table, &to, err);
        rc = rc ? rc : check_triggers(c, s->mode, &s->table, &to, err);
    }
    rc = rc ? rc : outbox_pg_partitions_check(s, c, each, ctx, err);
    rc = rc || faults ? rc : outbox_pg_days_look(s, c, each, ctx, err);
    rc = rc ? rc : find_oldest(s, c, err);
    rc = rc ? rc : check_commits(c, &to, err);
    rc = rc || faults ? rc : check_deletes(c, s->mode, &s->table, s->env, &to, err);
    pg_close(c);
    return rc;
}
