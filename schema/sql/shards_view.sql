-- Who has how many shards of a pipeline: one row. How many members there are; how many shards the poorest member has; the numbers of the
-- free shards, with commas between; is this session a member?
--
-- $1 bigint: key of the lock that each member has in shared mode; $2 bigint[]: keys of the shards' locks, that of shard 0 first. In pg_locks
-- a bigint key is classid (its upper half) and objid, with objsubid 1.
with l as materialized (
    select pid, classid::bigint << 32 | objid::bigint as key
      from pg_catalog.pg_locks
     where locktype = 'advisory'
       and granted
       and objsubid = 1
       and database = (select oid from pg_catalog.pg_database where datname = current_database())
)
select (select count(*) from l where key = $1::bigint),
       (select min(n)
          from (select count(s.pid) as n
                  from l m
                  left join l s on s.pid = m.pid and s.key = any($2::bigint[])
                 where m.key = $1::bigint
                 group by m.pid) poor),
       (select coalesce(string_agg((u.place - 1)::text, ',' order by u.place), '')
          from unnest($2::bigint[]) with ordinality u(key, place)
         where u.key not in (select key from l)),
       exists (select from l where key = $1::bigint and pid = pg_backend_pid());
