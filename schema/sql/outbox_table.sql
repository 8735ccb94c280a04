-- The outbox table, and what the relay's role may do with it: one row, or none if there is no such
-- table. Read by column number in relay/source/outbox_postgres/table.c.
--
-- $1 text: its name, quoted where it has to be.
-- In psql 16 or later: \bind 'public.outbox' and then \i schema/sql/outbox_table.sql
select c.oid, c.relkind, current_user, pg_is_in_recovery(),
       has_table_privilege(c.oid, 'delete'),
       row_security_active(c.oid),
       case
           when p.partstrat = 'h' then ''
           when not pg_has_role(c.relowner, 'usage') then
               format('grant %s to %I', c.relowner::regrole, current_user)
           when not has_schema_privilege(c.relnamespace, 'create') then
               format('grant create on schema %s to %I', c.relnamespace::regnamespace, current_user)
           else ''
       end as to_make_partitions
  from pg_class c
  left join pg_partitioned_table p on p.partrelid = c.oid
 where c.oid = to_regclass($1);
