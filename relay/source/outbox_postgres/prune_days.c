/*
 * The partitions of a table that is partitioned by day: makes the coming ones, then drops each old
 * one of which every row is delivered. The rest is removed row by row (prune.c).
 *
 * A partition is dropped in one transaction. First it is locked against writers, and that waits for
 * each transaction which has written to it. Then it is looked at again: such a transaction may have
 * committed a row that nobody has delivered. Only for the drop itself is the whole table locked,
 * and the wait for that lock is short, because all writers of the table wait behind it.
 */
#include "source/outbox_postgres/prune.h"

#include "schema/schema.h"

#include <stdio.h>

/* How often a lock is asked for before a partition is left for the next prune. */
enum { LOCK_TRIES = 3 };

#define DROP_WAIT "500ms"

static const char *name_of(const struct prune *p)
{
    return pg_value(p->days.list, p->days.next, DAY_NAME).ptr;
}

/* --- the list --- */

static int read_list(struct prune *p, struct error *err)
{
    char age[24];
    const char *params[OUTBOX_PG_DAYS_PARAMS];
    struct pg_result *r = NULL;
    snprintf(age, sizeof age, "%lld", (long long)p->order.older_than_us);
    outbox_pg_days_params(&p->table, age, params);
    if (pg_query(p->pg, schema_sql_day_partitions, OUTBOX_PG_DAYS_PARAMS, params, &r, err)) {
        return error_prefix(err, "partitions of %s", p->table.quoted);
    }
    pg_result_free(p->days.list);
    p->days.list = r;
    return RESULT_DONE;
}

int outbox_pg_prune_days_open(struct prune *p, struct error *err)
{
    if (read_list(p, err)) {
        return RESULT_ERROR;
    }
    /* Nothing of it is for another role: it removes row by row. */
    p->days.done = !outbox_pg_days_any(p->days.list) || p->table.to_partition[0];
    p->days.made = p->order.dry_run;
    return RESULT_DONE;
}

void outbox_pg_prune_days_close(struct prune *p)
{
    pg_result_free(p->days.list);
    buf_release(&p->days.spared);
    buf_release(&p->days.told);
}

void outbox_pg_prune_days_advise(const struct prune *p, struct buf *out)
{
    if (p->how.daily && p->table.to_partition[0]) {
        buf_printf(out,
                   "role %s may neither make nor drop partitions of %s, so rows are removed one by "
                   "one and no coming partition is made: %s",
                   p->table.user, p->table.quoted, p->table.to_partition);
    }
}

/* --- locks that are not had --- */

static bool is_locked(const struct error *err)
{
    return error_is(err, PG_LOCK_NOT_AVAILABLE) || error_is(err, PG_DEADLOCK_DETECTED);
}

/* Who has locked the partition, or the table (partition NULL): "pid 12, pid 13", or "". */
static void add_holders(struct prune *p, const char *partition, struct buf *out)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    struct error ignored;
    if (pg_query(
            p->pg,
            "select string_agg(distinct coalesce('pid ' || pid, 'a prepared transaction'), ', ')"
            " from pg_locks where locktype = 'relation' and granted and pid is distinct from"
            " pg_backend_pid() and database = (select oid from pg_database where datname ="
            " current_database()) and (relation = $1::oid or relation = $2::oid or relation in"
            " (select partdefid from pg_partitioned_table where partrelid = $1::oid))",
            2, (const char *const[]){p->table.oid, partition}, &r, &ignored) == RESULT_DONE &&
        !slice_is_null(pg_value(r, 0, 0))) {
        buf_printf(out, ", held by %.*s", SLICE_FMT(pg_value(r, 0, 0)));
    }
}

/* *ret_again: it is to be tried once more. `partition`: NULL if it is not one that is locked. */
static void tell_locked(struct prune *p, const char *what, const char *partition, bool *ret_again)
{
    *ret_again = ++p->days.tries < LOCK_TRIES;
    buf_printf(&p->days.told, "%s waits for a lock", what);
    add_holders(p, partition, &p->days.told);
    buf_add_str(&p->days.told, *ret_again ? ": trying again" : ": left for the next prune");
}

static void roll_back(struct prune *p)
{
    struct error ignored;
    (void)(pg_query(p->pg, "rollback", 0, NULL, NULL, &ignored) == RESULT_DONE);
}

/* --- making the coming ones --- */

static int make(struct prune *p, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    size_t before = pg_rows(p->days.list);
    if (strstr(p->table.quoted, "$commitrelay$")) { /* the script's own quotes */
        return error_set(err, ERROR_CONFIG, "postgres", "the table's name holds $commitrelay$");
    }
    buf_add_replacing(&sql, schema_postgres_partitions, "\"outbox\"", p->table.quoted);
    int rc = pg_query(p->pg, buf_str(&sql), 0, NULL, NULL, err);
    rc = rc ? rc : read_list(p, err);
    if (rc == RESULT_DONE && pg_rows(p->days.list) > before) {
        buf_printf(&p->days.told, "made %zu partitions for the days to come",
                   pg_rows(p->days.list) - before);
    }
    return rc;
}

/* What goes wrong here keeps nothing from being pruned: there are days until it matters. */
static int make_coming(struct prune *p, struct error *err)
{
    bool again = false;
    if (make(p, err)) {
        if (!pg_alive(p->pg)) {
            return RESULT_ERROR;
        }
        if (is_locked(err)) {
            tell_locked(p, "making partitions for the days to come", NULL, &again);
        } else {
            buf_printf(&p->days.told, "partitions for the days to come are not made: %s",
                       err->text);
        }
    }
    if (!again) {
        p->days.made = true;
        p->days.tries = 0;
    }
    return RESULT_DONE;
}

/* --- dropping --- */

/* *ret_rows: how many rows the partition has, or -1: it may not go. */
static int judge(struct prune *p, int64_t *ret_rows, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    const char *const params[PRUNE_WHOLE_PARAMS] = {
        [PRUNE_PIPELINE] = p->env->pipeline, [PRUNE_CLUSTER] = p->cluster[0] ? p->cluster : NULL};
    outbox_pg_prune_whole_sql(&p->how, pg_value(p->days.list, p->days.next, DAY_OID).ptr,
                              name_of(p), &sql);
    if (pg_query(p->pg, buf_str(&sql), PRUNE_WHOLE_PARAMS, params, &r, err)) {
        return error_prefix(err, "looking at partition %s", name_of(p));
    }
    *ret_rows = pg_true(r, 0, PRUNE_WHOLE_READY) ? pg_int(r, 0, PRUNE_WHOLE_ROWS, -1) : -1;
    return RESULT_DONE;
}

/* In a transaction, which the caller ends. *ret_rows as for judge: -1, it was not dropped. */
static int lock_look_and_drop(struct prune *p, int64_t *ret_rows, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    buf_printf(&sql, "begin; lock table only %s in share mode", name_of(p));
    if (pg_query(p->pg, buf_str(&sql), 0, NULL, NULL, err) || judge(p, ret_rows, err)) {
        return RESULT_ERROR;
    }
    if (*ret_rows < 0) {
        return RESULT_DONE;
    }
    buf_clear(&sql);
    buf_printf(&sql, "set local lock_timeout = '" DROP_WAIT "'; drop table %s; commit", name_of(p));
    return pg_query(p->pg, buf_str(&sql), 0, NULL, NULL, err);
}

static bool is_old(const struct prune *p)
{
    return pg_true(p->days.list, p->days.next, DAY_IS_DAY) &&
           pg_true(p->days.list, p->days.next, DAY_IS_DUE);
}

static void spare(struct prune *p)
{
    buf_printf(&p->days.spared, "%s%s", p->days.spared.len > 0 ? "," : "",
               pg_value(p->days.list, p->days.next, DAY_OID).ptr);
}

/* A transaction that has written to the table and is still open locks out the drop of any
 * partition. All old ones keep their rows then, for the next prune, in which they will go whole. */
static void leave_the_rest(struct prune *p)
{
    for (; p->days.next < pg_rows(p->days.list); p->days.next++) {
        if (is_old(p)) {
            spare(p);
        }
    }
    p->days.done = true;
}

static int take_failure(struct prune *p, bool *ret_again, struct error *err)
{
    CLEANUP(buf_release) struct buf what = {0};
    if (!pg_alive(p->pg)) {
        return RESULT_ERROR;
    }
    roll_back(p);
    if (is_locked(err)) {
        buf_printf(&what, "dropping partition %s", name_of(p));
        tell_locked(p, buf_str(&what), pg_value(p->days.list, p->days.next, DAY_OID).ptr,
                    ret_again);
        if (!*ret_again) {
            leave_the_rest(p);
        }
        return RESULT_DONE;
    }
    if (err->class == ERROR_RETRY) {
        return RESULT_ERROR;
    }
    buf_printf(&p->days.told, "partition %s is not dropped: %s", name_of(p), err->text);
    return RESULT_DONE;
}

static int drop(struct prune *p, int64_t *ret_rows, bool *ret_again, struct error *err)
{
    if (lock_look_and_drop(p, ret_rows, err)) {
        *ret_rows = -1;
        return take_failure(p, ret_again, err);
    }
    if (*ret_rows < 0) {
        roll_back(p); /* something was committed meanwhile */
        return RESULT_DONE;
    }
    buf_printf(&p->days.told, "dropped partition %s (%lld rows)", name_of(p), (long long)*ret_rows);
    return RESULT_DONE;
}

/* The first look is without a lock: a partition that is held back disturbs nobody. */
static int take_partition(struct prune *p, struct prune_step *ret, bool *ret_again,
                          struct error *err)
{
    int64_t rows = -1;
    if (judge(p, &rows, err)) {
        return RESULT_ERROR;
    }
    if (rows >= 0 && p->order.dry_run) {
        buf_printf(&p->days.told, "would drop partition %s (%lld rows)", name_of(p),
                   (long long)rows);
        spare(p);
    } else if (rows >= 0 && drop(p, &rows, ret_again, err)) {
        return RESULT_ERROR;
    }
    ret->looked_at = ret->removed = rows > 0 ? rows : 0;
    return RESULT_DONE;
}

int outbox_pg_prune_days_step(struct prune *p, struct prune_step *ret, struct error *err)
{
    struct prune_days *d = &p->days;
    bool again = false;
    int rc = RESULT_DONE;
    *ret = (struct prune_step){0};
    buf_clear(&d->told);
    if (!d->made) {
        rc = make_coming(p, err);
    } else {
        while (d->next < pg_rows(d->list) && !is_old(p)) {
            d->next++;
        }
        d->done = d->next == pg_rows(d->list);
        rc = d->done ? RESULT_DONE : take_partition(p, ret, &again, err);
        if (rc == RESULT_DONE && !again && !d->done) {
            d->next++;
            d->tries = 0;
        }
    }
    ret->told = d->told.len > 0 ? buf_str(&d->told) : NULL;
    return rc;
}
