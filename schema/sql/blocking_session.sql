-- One session that holds a lock which a session waits for: its pid (0: a prepared transaction), its
-- application, the age of its transaction in seconds (-1: not shown to this role), and for how many
-- seconds the waiting statement has run. No row: it waits for nobody.
--
-- $1 int: the pid of the session that waits.
-- In psql 16 or later: \bind 4711 and then \i schema/sql/blocking_session.sql
select p.pid, coalesce(nullif(a.application_name, ''), '?'),
       coalesce(extract(epoch from clock_timestamp() - a.xact_start)::bigint, -1),
       (select coalesce(extract(epoch from clock_timestamp() - w.query_start)::bigint, 0)
          from pg_stat_activity w
         where w.pid = $1::int)
  from unnest(pg_blocking_pids($1::int)) as p(pid)
  left join pg_stat_activity a on a.pid = p.pid
 limit 1;
