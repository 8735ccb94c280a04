-- The oldest transaction that the creation of a replication slot waits for, and the statement that
-- ends it: one row with one text, or none. No parameters.
--
-- The locks are shown to every role, application and age to the privileged.
select case
           when l.pid is null then
               format('prepared as %1$L%2$s: COMMIT PREPARED %1$L or ROLLBACK PREPARED %1$L', p.gid,
                      ' since ' || round(extract(epoch from clock_timestamp() - p.prepared)) || ' s')
           else
               format('that of pid %1$s%2$s%3$s: SELECT pg_terminate_backend(%1$s)', l.pid,
                      ' (application "' || a.application_name || '")',
                      ', open since ' || round(extract(epoch from clock_timestamp() - a.xact_start))
                      || ' s')
       end
  from pg_locks l
  left join pg_stat_activity a using (pid)
  left join pg_prepared_xacts p on p.transaction = l.transactionid
 where l.locktype = 'transactionid'
   and l.mode = 'ExclusiveLock'
   and l.granted
   and l.pid is distinct from pg_backend_pid()
 order by age(l.transactionid) desc
 limit 1;
