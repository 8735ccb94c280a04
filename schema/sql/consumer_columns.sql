-- The columns of the table of `commitrelay consume --into`, in their order, and which of them make
-- the primary key and which the database computes; of which type they are, with domains resolved
-- one level deep. Read by column number in consume/apply/inbox_postgres.c. No row: there is no such table, or it has no columns.
--
-- $1 text: the table's quoted name.
select a.attname,
       coalesce(a.attnum = any (i.indkey[0:i.indnkeyatts - 1]), false) as is_key,
       a.attgenerated <> '' as is_generated,
       case when t.typtype = 'd' then b.typname else t.typname end as type,
       case when t.typtype = 'd' then t.typtypmod else a.atttypmod end as typmod
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_type t on t.oid = a.atttypid
  left join pg_catalog.pg_type b on b.oid = t.typbasetype
  left join pg_catalog.pg_index i on i.indrelid = a.attrelid and i.indisprimary
 where a.attrelid = to_regclass($1)
   and a.attnum > 0
   and not a.attisdropped
 order by a.attnum;
