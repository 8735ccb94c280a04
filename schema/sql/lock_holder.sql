-- Who holds a lock that reading the catalogs or the tables waits for, and the statement that ends
-- it: one row with one text, or none.
--
-- $1 text: the oids of the tables that are waited for as an array, {16385,16390}; {}: any table.
-- In psql 16 or later: \bind '{}' and then \i schema/sql/lock_holder.sql
--
-- The locks are shown to every role, application and age to the privileged.
select format('%s is locked by ', l.relation::regclass) || case
           when l.pid is null then
               format('a transaction prepared as %1$L: COMMIT PREPARED %1$L or ROLLBACK PREPARED %1$L',
                      p.gid)
           else
               format('pid %1$s%2$s%3$s: wait, or SELECT pg_terminate_backend(%1$s)', l.pid,
                      ' (application "' || a.application_name || '")',
                      ', open since ' || round(extract(epoch from clock_timestamp() - a.xact_start))
                      || ' s')
       end
  from pg_locks l
  left join pg_stat_activity a using (pid)
  left join lateral (select x.gid
                       from pg_locks k
                       join pg_prepared_xacts x on x.transaction = k.transactionid
                      where k.virtualtransaction = l.virtualtransaction and k.pid is null) p on true
 where l.locktype = 'relation'
   and l.granted
   and l.pid is distinct from pg_backend_pid()
   and l.database = (select oid from pg_database where datname = current_database())
   and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock',
                  'ShareUpdateExclusiveLock')
   and l.relation >= 16384
   and ($1 = '{}'
        or exists (select from unnest($1::oid[]) x
                    where x = l.relation
                       or x in (select relid from pg_partition_ancestors(l.relation))))
 order by l.mode = 'AccessExclusiveLock' desc, a.xact_start nulls first, l.relation
 limit 1;
