/* Whoever is waited for is named, with the statement that ends it. */
#include "cdc/preflight/lock_holder.h"

#include <stdio.h>
#include <string.h>

/* The locks are shown to every role, application and age to the privileged. */
static const char holder_sql[] =
    "select format('%s is locked by ', l.relation::regclass) || case when l.pid is null then"
    "  format('a transaction prepared as %1$L: COMMIT PREPARED %1$L or ROLLBACK PREPARED %1$L',"
    "  p.gid) else format('pid %1$s%2$s%3$s: wait, or SELECT pg_terminate_backend(%1$s)', l.pid,"
    "  ' (application \"' || a.application_name || '\")',"
    "  ', open since ' || round(extract(epoch from clock_timestamp() - a.xact_start)) || ' s') end"
    " from pg_locks l left join pg_stat_activity a using (pid)"
    " left join lateral (select x.gid from pg_locks k join pg_prepared_xacts x"
    "  on x.transaction = k.transactionid where k.virtualtransaction = l.virtualtransaction"
    "  and k.pid is null) p on true"
    " where l.locktype = 'relation' and l.granted and l.pid is distinct from pg_backend_pid()"
    " and l.database = (select oid from pg_database where datname = current_database())"
    " and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock',"
    "  'ShareUpdateExclusiveLock') and l.relation >= 16384"
    " and ($1 = '{}' or exists (select from unnest($1::oid[]) x where x = l.relation"
    "  or x in (select relid from pg_partition_ancestors(l.relation))))"
    " order by l.mode = 'AccessExclusiveLock' desc, a.xact_start nulls first, l.relation limit 1";

int lock_holder_name(struct pg *sql, const char *tables, struct error *err)
{
    struct pg_result *r = NULL;
    struct error ignored;
    if (!error_is(err, PG_LOCK_NOT_AVAILABLE)) {
        return RESULT_ERROR;
    }
    if (pg_query(sql, "rollback", 0, NULL, NULL, &ignored) == RESULT_DONE &&
        pg_query(sql, holder_sql, 1, &tables, &r, &ignored) == RESULT_DONE && pg_rows(r) == 1) {
        error_set(err, ERROR_RETRY, "postgres", "table %.*s", SLICE_FMT(pg_value(r, 0, 0)));
        error_code(err, PG_LOCK_NOT_AVAILABLE);
    }
    pg_result_free(r);
    return RESULT_ERROR;
}
