-- Whether the stored cursor was saved in another cluster: no row if it was not, else that cluster's
-- system identifier, and whether a `position set` already waits.
--
-- $1 pipeline, $2 part, $3 bigint: the system identifier of this cluster; null if it is not known.
-- In psql 16 or later: \bind orders '' 7300000000000000000 and then \i schema/sql/other_cluster.sql
select p.system_identifier,
       exists (select from commitrelay.control c
                where c.pipeline = $1
                  and c.part = $2
                  and c.command = 'set_position'
                  and c.acknowledged_at is null)
  from commitrelay.positions p
 where p.pipeline = $1
   and p.part = $2
   and p.cursor <> ''
   and p.system_identifier <> $3::bigint;
