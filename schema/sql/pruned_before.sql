-- How far a table was pruned: one row, in microseconds since 1970; null if nothing was noted. Marks of tables that share rows with it
-- count, too: its partitions, those it is a partition of, and so on. Read in relay/store/postgres/gone.c.
--
-- $1 text: the table's quoted name.
with recursive family(oid) as (select to_regclass($1)::oid
                               union
                               select case when i.inhrelid = f.oid then i.inhparent else i.inhrelid end
                                 from family f
                                 join pg_catalog.pg_inherits i on f.oid in (i.inhrelid, i.inhparent)),
     names(name) as (select '"' || replace(n.nspname, '"', '""') || '"."' || replace(c.relname, '"', '""') || '"'
                       from family
                       join pg_catalog.pg_class c using (oid)
                       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                     union
                     select $1)
select (extract(epoch from max(pruned_before)) * 1000000)::bigint
  from commitrelay.pruned
 where source_table in (select name from names);
