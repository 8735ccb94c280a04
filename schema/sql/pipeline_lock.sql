-- The session that holds the lock of a pipeline: its pid, its application (empty without
-- pg_read_all_stats, if it is another role's) and where it connects from; or no row.
--
-- $1 and $2 oid: the upper and the lower half of the lock's key, which is a hash of pipeline and
-- part (lock_key in relay/store/postgres/lock.c).
-- In psql 16 or later: \bind 1234 5678 and then \i schema/sql/pipeline_lock.sql
select l.pid, a.application_name, coalesce(host(a.client_addr), 'a local socket')
  from pg_catalog.pg_locks l
  left join pg_catalog.pg_stat_activity a on a.pid = l.pid
 where l.locktype = 'advisory'
   and l.granted
   and l.objsubid = 1
   and l.classid = $1::oid
   and l.objid = $2::oid
   and l.database = (select oid from pg_catalog.pg_database where datname = current_database());
