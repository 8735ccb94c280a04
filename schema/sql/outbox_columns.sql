-- The columns of the outbox table with their base types, the role's privileges on them, and their
-- indexes. Read by column number in relay/source/outbox_postgres/table.c.
--
-- $1 oid: the table. $2 name: the column seq.
-- In psql 16 or later: \bind 16385 'seq' and then \i schema/sql/outbox_columns.sql
--
-- A unique index of a partitioned table must also hold the partition key, so there it is enough
-- that the column comes first, or that all its other columns are of the key (also in a partition of
-- it: p is the partitioned table). A domain may be based on another domain: b goes down to the base
-- type.
select a.attname, y.typname, format_type(a.atttypid, a.atttypmod),
       coalesce(pg_get_expr(d.adbin, d.adrelid), '') as fallback,
       a.attnotnull,
       has_column_privilege(a.attrelid, a.attnum, 'select'),
       has_column_privilege(a.attrelid, a.attnum, 'update'),
       exists (select from pg_index i
                where i.indrelid = a.attrelid
                  and i.indisunique
                  and i.indisvalid
                  and i.indpred is null
                  and (i.indkey[0] = a.attnum and (i.indnkeyatts = 1 or c.relkind = 'p')
                       or a.attnum = any(i.indkey[0:i.indnkeyatts - 1])
                          and not exists (select from unnest(i.indkey[0:i.indnkeyatts - 1]) k
                                           where k <> a.attnum
                                             and k <> all(p.keys)))) as is_unique,
       exists (select from pg_index i
                where i.indrelid = a.attrelid
                  and i.indisvalid
                  and i.indkey[0] = a.attnum
                  and (i.indpred is null
                       or pg_get_expr(i.indpred, i.indrelid) like '%status%pending%')) as indexed,
       exists (select from pg_index i
                 join pg_attribute n on n.attrelid = i.indrelid and n.attnum = i.indkey[1]
                where i.indrelid = a.attrelid
                  and i.indisvalid
                  and i.indpred is null
                  and i.indkey[0] = a.attnum
                  and n.attname = $2) as indexed_seq,
       y.typcategory,
       case when y.typname in ('varchar', 'bpchar') and b.typmod > 4 then b.typmod - 4 else -1 end,
       y.oid, b.typmod, y.typtype
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid
 cross join lateral (
           select coalesce(array_agg(here.attnum), '{}') as keys
             from pg_partitioned_table t
             join pg_attribute there on there.attrelid = t.partrelid and there.attnum = any(t.partattrs)
             join pg_attribute here on here.attrelid = c.oid and here.attname = there.attname
            where t.partrelid = c.oid
               or c.relispartition
              and t.partrelid in (select inhparent from pg_inherits where inhrelid = c.oid)) p
 cross join lateral (
           with recursive below(oid, typmod, depth) as (
               select a.atttypid, a.atttypmod, 0
               union all
               select d.typbasetype, case when typmod < 0 then d.typtypmod else typmod end,
                      depth + 1
                 from below
                 join pg_type d on d.oid = below.oid
                where d.typtype = 'd')
           select oid, typmod from below order by depth desc limit 1) b
  join pg_type y on y.oid = b.oid
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where a.attrelid = $1::oid
   and a.attnum > 0
   and not a.attisdropped;
