/*
 * Removes delivered rows step by step, in the order of the key. A step waits two seconds at most
 * for a lock, and locks nothing but the rows that it removes. Of a table that is partitioned by day
 * whole partitions go first (prune_days.c).
 */
#include "source/outbox_postgres/prune.h"

#include "base/memory.h"

#include "contract/prune.h"
#include <stdio.h>
#include <stdlib.h>

/* The plan must go through the index on the key. Triggers of the application run with the role's
 * own search_path. A removal that a crash of the server undoes is made again, so it need not wait
 * for a disk. */
static const char settings[] =
    "set lock_timeout = '2s'; set enable_seqscan = off; set jit = off; reset search_path;"
    " set synchronous_commit = off; set default_transaction_read_only = off";

/* --- asked of a configuration --- */

static void prune_settings(const void *conf, struct prune_settings *ret)
{
    const struct outbox_pg_conf *c = conf;
    *ret = c->prune;
}

/* --- its life --- */

static void prune_close(void *prune)
{
    struct prune *p = prune;
    if (!p) {
        return;
    }
    outbox_pg_prune_days_close(p);
    pg_close(p->pg);
    for (size_t i = 0; i < p->holders_count; i++) {
        free(p->holders[i].pipeline);
        free(p->holders[i].why);
    }
    free(p->holders);
    buf_release(&p->sql);
    buf_release(&p->after);
    arena_release(&p->table.arena);
    free(p);
}

static int judge_created_at(const struct outbox_pg_conf *conf, const struct outbox_pg_table *t,
                            struct error *err)
{
    const struct outbox_pg_found *created = &t->column[OUTBOX_PG_CREATED_AT];
    if (!created->name) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "table %s has no column \"%s\", which says how old a row is: name the right one in source.columns.created_at",
            t->quoted, conf->columns.name[OUTBOX_PG_CREATED_AT]);
    }
    if (created->category != 'D') {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "column %s of %s is %s and says no time, so the age of a row is not known: name a timestamp in source.columns.created_at",
            created->quoted, t->quoted, created->format);
    }
    return RESULT_DONE;
}

int outbox_pg_judge_prune(const struct outbox_pg_conf *conf, const struct outbox_pg_table *t,
                          struct error *err)
{
    if (judge_created_at(conf, t, err)) {
        return RESULT_ERROR;
    }
    return t->may_delete
               ? RESULT_DONE
               : error_exit(err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "postgres",
                            "role %s may not delete rows of %s: grant delete on %s to \"%s\"",
                            t->user, t->quoted, t->quoted, t->user);
}

static int judge(const struct prune *p, struct error *err)
{
    return p->order.dry_run ? judge_created_at(p->conf, &p->table, err)
                            : outbox_pg_judge_prune(p->conf, &p->table, err);
}

/* Two prunes of one table would wait for each other's rows. */
static int lock_out_others(struct prune *p, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    const char *const params[] = {p->table.oid};
    if (p->order.dry_run) {
        return RESULT_DONE;
    }
    if (pg_query(p->pg,
                 "select pg_try_advisory_lock(hashtextextended('commitrelay/prune/' ||"
                 " coalesce(pg_partition_root($1::oid::regclass)::oid, $1::oid), 0))",
                 1, params, &r, err)) {
        return RESULT_ERROR;
    }
    if (pg_true(r, 0, 0)) {
        return RESULT_DONE;
    }
    error_set(err, ERROR_RETRY, "postgres", "another prune is at work on %s", p->table.quoted);
    return RESULT_AGAIN;
}

static int find_cluster(struct prune *p, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (pg_query(p->pg, "select system_identifier from pg_control_system()", 0, NULL, &r, err)) {
        return error_is(err, PG_INSUFFICIENT_PRIVILEGE) ? RESULT_DONE : RESULT_ERROR;
    }
    snprintf(p->cluster, sizeof p->cluster, "%.*s", SLICE_FMT(pg_value(r, 0, 0)));
    return RESULT_DONE;
}

static int make_sql(struct prune *p, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    const char *const params[] = {p->table.oid, p->env->store.positions};
    if (pg_query(p->pg,
                 "select coalesce(bool_or(attname = 'status'), false), coalesce(bool_or(attname ="
                 " 'published_at' and atttypid = 'timestamptz'::regtype), false), exists (select"
                 " from pg_attribute where attrelid = to_regclass($2) and attname = 'shard_column')"
                 " from pg_attribute where attrelid = $1::oid and attnum > 0 and not attisdropped",
                 2, params, &r, err)) {
        return RESULT_ERROR;
    }
    if (!pg_true(r, 0, 2)) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "the relay's tables do not say which pipelines read %s: start the relay once with this version, or let an owner run `commitrelay init`",
            p->table.quoted);
    }
    p->how = (struct prune_sql){.table = &p->table,
                                .store = &p->env->store,
                                .conf = p->conf,
                                .has_status = pg_true(r, 0, 0),
                                .has_published_at = pg_true(r, 0, 1),
                                .daily = outbox_pg_days_any(p->days.list),
                                .dry_run = p->order.dry_run};
    outbox_pg_prune_sql(&p->how, &p->sql);
    return RESULT_DONE;
}

static int prepare(struct prune *p, struct error *err)
{
    const struct outbox_pg source = {.conf = p->conf, .env = p->env};
    if (outbox_pg_connect(&source, INT64_MAX, &p->pg, err) ||
        pg_query(p->pg, settings, 0, NULL, NULL, err) ||
        outbox_pg_inspect(p->pg, p->conf, p->env, &p->table, err) || judge(p, err) ||
        find_cluster(p, err) || outbox_pg_prune_days_open(p, err) || make_sql(p, err)) {
        return RESULT_ERROR;
    }
    return lock_out_others(p, err);
}

static int prune_open(const void *conf, const struct source_env *env,
                      const struct prune_order *order, void **ret, struct error *err)
{
    struct prune *p = memory_need(calloc(1, sizeof *p));
    p->conf = conf;
    p->env = env;
    p->order = *order;
    arena_init(&p->table.arena);
    int rc = prepare(p, err);
    if (rc) {
        prune_close(p);
        return rc;
    }
    *ret = p;
    return RESULT_DONE;
}

/* --- a step --- */

static char *copy(struct slice text)
{
    char *out = memory_need(strndup(text.ptr ? text.ptr : "", text.len));
    return out;
}

static struct prune_holder *holder_of(struct prune *p, struct slice pipeline, struct slice why)
{
    for (size_t i = 0; i < p->holders_count; i++) {
        if (slice_equal_str(pipeline, p->holders[i].pipeline)) {
            return &p->holders[i];
        }
    }
    struct prune_holder *all =
        memory_need(realloc(p->holders, (p->holders_count + 1) * sizeof *all));
    p->holders = all;
    all[p->holders_count] = (struct prune_holder){.pipeline = copy(pipeline), .why = copy(why)};
    return &all[p->holders_count++];
}

static void note_holders(struct prune *p, const struct pg_result *r)
{
    for (size_t row = 0; row < pg_rows(r); row++) {
        int64_t held = pg_int(r, row, PRUNE_HELD, 0);
        if (held > 0) {
            holder_of(p, pg_value(r, row, PRUNE_READER), pg_value(r, row, PRUNE_WHY))->rows += held;
        }
    }
    if (!pg_true(r, 0, PRUNE_KNOWN)) {
        holder_of(p, slice_from(p->env->pipeline), SLICE_LITERAL("it has not run yet"))->rows +=
            pg_int(r, 0, PRUNE_OLD, 0);
    }
}

/* With a key that grows, what follows rows that are all too young is young too, and behind the
 * pipeline that is furthest back nothing may go. A time in created_at that does not grow with the
 * key only makes a row stay for longer. */
static bool is_end(const struct prune *p, const struct pg_result *r)
{
    int64_t last_key, frontier = pg_int(r, 0, PRUNE_FRONTIER, INT64_MAX);
    bool grows = p->table.key == &p->table.column[OUTBOX_PG_SEQ];
    if (pg_int(r, 0, PRUNE_LOOKED_AT, 0) < p->order.batch || !pg_true(r, 0, PRUNE_KNOWN)) {
        return true;
    }
    return grows && (pg_int(r, 0, PRUNE_AGED, 0) == 0 ||
                     (outbox_pg_number(buf_slice(&p->after), &last_key) && last_key > frontier &&
                      pg_int(r, 0, PRUNE_READY, 0) == 0));
}

static int refuse_kept(const struct prune *p, struct error *err)
{
    return error_set(
        err, ERROR_CONFIG, "postgres",
        "rows of %s that were deleted are still there: a trigger, rule or policy keeps them; exempt the role with when (current_user <> '%s')",
        p->table.quoted, p->table.user);
}

static int prune_step(void *prune, struct prune_step *ret, struct error *err)
{
    struct prune *p = prune;
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf spared = {0};
    char batch[24], age[24];
    if (!p->days.done) {
        return outbox_pg_prune_days_step(p, ret, err);
    }
    buf_printf(&spared, "{%s}", buf_str(&p->days.spared));
    snprintf(batch, sizeof batch, "%lld", (long long)p->order.batch);
    snprintf(age, sizeof age, "%lld", (long long)p->order.older_than_us);
    const char *const params[PRUNE_PARAMS] = {[PRUNE_AFTER] =
                                                  p->after.len > 0 ? buf_str(&p->after) : NULL,
                                              [PRUNE_BATCH] = batch,
                                              [PRUNE_AGE] = age,
                                              [PRUNE_SPARED] = buf_str(&spared),
                                              [PRUNE_PIPELINE] = p->env->pipeline,
                                              [PRUNE_CLUSTER] = p->cluster[0] ? p->cluster : NULL};
    if (pg_query(p->pg, buf_str(&p->sql), PRUNE_PARAMS, params, &r, err)) {
        return error_prefix(err, "pruning %s", p->table.quoted);
    }
    int64_t ready = pg_int(r, 0, PRUNE_READY, 0), removed = pg_int(r, 0, PRUNE_REMOVED, 0);
    if (ready > 0 && removed == 0) {
        return refuse_kept(p, err);
    }
    if (!slice_is_null(pg_value(r, 0, PRUNE_LAST_KEY))) {
        buf_clear(&p->after);
        buf_add_slice(&p->after, pg_value(r, 0, PRUNE_LAST_KEY));
    }
    note_holders(p, r);
    *ret = (struct prune_step){
        .looked_at = pg_int(r, 0, PRUNE_LOOKED_AT, 0), .removed = removed, .ended = is_end(p, r)};
    return RESULT_DONE;
}

static void prune_held(void *prune, void (*each)(void *ctx, const struct prune_held *held),
                       void *ctx)
{
    const struct prune *p = prune;
    for (size_t i = 0; i < p->holders_count; i++) {
        each(ctx, &(struct prune_held){.pipeline = p->holders[i].pipeline,
                                       .rows = p->holders[i].rows,
                                       .why = p->holders[i].why});
    }
}

/* --- vacuum --- */

/* Removed rows take room until they are vacuumed, and reads have to pass over them. */
static int prune_advise(void *prune, struct buf *out, struct error *err)
{
    struct prune *p = prune;
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    outbox_pg_prune_days_advise(p, out);
    if (pg_query(
            p->pg,
            "select current_setting('autovacuum') = 'off' or exists (select from"
            " pg_options_to_table(c.reloptions) where option_name = 'autovacuum_enabled'"
            " and option_value in ('false', 'off', 'no', '0')),"
            " s.n_dead_tup > 10000 and s.n_dead_tup > s.n_live_tup and coalesce(greatest("
            "s.last_vacuum, s.last_autovacuum) < now() - interval '10 minutes', true),"
            " s.n_dead_tup, (select min(xact_start)::text from pg_stat_activity"
            " where backend_xmin is not null and xact_start < now() - interval '10 minutes')"
            " from pg_class c join pg_stat_all_tables s on s.relid = c.oid where c.oid = $1::oid",
            1, (const char *const[]){p->table.oid}, &r, err)) {
        return RESULT_ERROR;
    }
    if (pg_rows(r) == 0) {
        return RESULT_DONE;
    }
    struct slice open_since = pg_value(r, 0, 3);
    if (out->len > 0 && (pg_true(r, 0, 0) || pg_true(r, 0, 1))) {
        buf_add_str(out, "; ");
    }
    if (pg_true(r, 0, 0)) {
        buf_printf(out,
                   "autovacuum is off for %s: removed rows stay in it until you run `vacuum %s`",
                   p->table.quoted, p->table.quoted);
    } else if (pg_true(r, 0, 1) && !slice_is_null(open_since)) {
        buf_printf(
            out,
            "autovacuum does not follow: %s holds %.*s removed rows, and a transaction that is"
            " open since %.*s keeps them (pg_stat_activity names it)",
            p->table.quoted, SLICE_FMT(pg_value(r, 0, 2)), SLICE_FMT(open_since));
    } else if (pg_true(r, 0, 1)) {
        buf_printf(out,
                   "autovacuum does not follow: %s holds %.*s removed rows. alter table %s set"
                   " (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,"
                   " autovacuum_vacuum_cost_delay = 0)",
                   p->table.quoted, SLICE_FMT(pg_value(r, 0, 2)), p->table.quoted);
    }
    return RESULT_DONE;
}

const struct prune_ops outbox_pg_prune = {.settings = prune_settings,
                                          .needless = outbox_pg_prune_needless,
                                          .open = prune_open,
                                          .step = prune_step,
                                          .held = prune_held,
                                          .advise = prune_advise,
                                          .close = prune_close};
