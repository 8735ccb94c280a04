-- The columns of the table of `commitrelay consume --into`, in their order, and which of them make
-- the primary key and which the database computes. Read by column number in
-- consume/apply/inbox_postgres.c. No row: there is no such table, or it has no columns.
--
-- $1 text: the table's quoted name.
select a.attname,
       coalesce(a.attnum = any (i.indkey[0:i.indnkeyatts - 1]), false) as is_key,
       a.attgenerated <> '' as is_generated
  from pg_catalog.pg_attribute a
  left join pg_catalog.pg_index i on i.indrelid = a.attrelid and i.indisprimary
 where a.attrelid = to_regclass($1)
   and a.attnum > 0
   and not a.attisdropped
 order by a.attnum;
