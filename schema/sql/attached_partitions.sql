-- Which partitions were attached since a snapshot: the first row holds the snapshot of this look,
-- then comes each partition with the number of the transaction that attached it and the condition
-- that all its rows meet. Read in
-- relay/source/outbox_postgres/partitions.c.
--
-- $1 oid: the partitioned table. $2 pg_snapshot: the snapshot of the look before.
-- In psql 16 or later: \bind 16385 '700:700:' and then \i schema/sql/attached_partitions.sql
--
-- The catalog holds only the lower 32 bits of that number (xmin); the upper ones are computed from
-- the current transaction number.
with now as materialized (
    select pg_current_snapshot() as s,
           pg_snapshot_xmax(pg_current_snapshot())::text::bigint as m
)
select null::text, s::text, null::text
  from now
union all
select p.relid::regclass::text, x.x::text, pg_get_partition_constraintdef(p.relid)
  from now
 cross join pg_partition_tree($1::oid::regclass) p
  join pg_inherits i on i.inhrelid = p.relid and i.inhparent = p.parentrelid
 cross join lateral (select m - ((m - i.xmin::text::bigint) & 4294967295)) x(x)
 where not pg_visible_in_snapshot(x.x::text::xid8, $2::pg_snapshot);
