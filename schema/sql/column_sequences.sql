-- The sequences that a column gets its values from, and whether each keeps the order of a key: it
-- does not if a session draws several numbers ahead, or if it counts down or begins again. The bad
-- ones come first. Read in relay/source/outbox_postgres/demands.c.
--
-- $1 oid: the table. $2 name: the column.
-- In psql 16 or later: \bind 16385 'seq' and then \i schema/sql/column_sequences.sql
--
-- A sequence is found if the column owns it (identity, serial), and if the column's default names
-- it. A row of a partition got its number from the partitioned table.
with rel as (
    select $1::oid as oid
     union
    select relid from pg_partition_ancestors($1::oid)
)
select s.seqrelid::regclass, s.seqcache,
       s.seqcache > 1 or s.seqincrement < 1 or s.seqcycle as bad
  from pg_sequence s
 where s.seqrelid in (
           select d.objid
             from pg_depend d
             join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
            where d.classid = 'pg_class'::regclass
              and d.refobjid in (select oid from rel)
              and a.attname = $2
           union all
           select p.refobjid
             from pg_attrdef f
             join pg_attribute a on a.attrelid = f.adrelid and a.attnum = f.adnum
             join pg_depend p on p.objid = f.oid
            where p.classid = 'pg_attrdef'::regclass
              and p.refclassid = 'pg_class'::regclass
              and f.adrelid in (select oid from rel)
              and a.attname = $2)
 order by bad desc;
