-- The partitions of a table that is partitioned by the time of its rows, oldest first: which of them
-- hold one day (UTC) each, and whether there is one for tomorrow. No row: it is not such a table.
-- Read by column number in relay/source/outbox_postgres/days.c.
--
-- $1 oid: the table. $2 name: its column created_at. $3 bigint: rows older than so many
-- microseconds may go.
-- In psql 16 or later: \bind 16385 created_at 604800000000 and then \i schema/sql/day_partitions.sql
with part as materialized (
    select c.oid, c.relkind,
           case m[1] when 'MINVALUE' then '-infinity' else trim('''' from m[1]) end::timestamptz as lower,
           case m[2] when 'MAXVALUE' then 'infinity' else trim('''' from m[2]) end::timestamptz as upper
      from pg_partitioned_table p
      join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
      join pg_inherits i on i.inhparent = p.partrelid and not i.inhdetachpending
      join pg_class c on c.oid = i.inhrelid
     cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid),
                                     '^FOR VALUES FROM \((.+)\) TO \((.+)\)$') m
     where p.partrelid = $1::oid
       and p.partstrat = 'r'
       and p.partnatts = 1
       and a.attname = $2
       and a.atttypid = 'timestamptz'::regtype
       and m is not null
), tomorrow as (
    select d as lower, d + interval '24 hours' as upper
      from date_trunc('day', now() + interval '24 hours', 'UTC') d
)
select p.oid, p.oid::regclass,
       p.relkind = 'r' and p.lower = date_trunc('day', p.lower, 'UTC')
           and p.upper = p.lower + interval '24 hours' as is_day,
       p.upper <= now() - $3::bigint * interval '1 microsecond' as is_due,
       p.lower <= t.lower and p.upper >= t.upper as has_tomorrow,
       exists (select from pg_partitioned_table where partrelid = $1::oid and partdefid <> 0),
       (select format('create table %I.%I partition of %s for values from (%L) to (%L)', n.nspname,
                      left(c.relname, 54) || to_char(t.lower at time zone 'UTC', '_YYYYMMDD'),
                      c.oid::regclass, t.lower, t.upper)
          from pg_class c
          join pg_namespace n on n.oid = c.relnamespace
         where c.oid = $1::oid)
  from part p
 cross join tomorrow t
 order by p.lower;
