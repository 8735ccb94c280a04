-- The outbox table, and what the relay's role may do with it: one row, or none if there is no such
-- table. Read by column number in relay/source/outbox_postgres/table.c.
--
-- $1 text: its name, quoted where it has to be.
-- In psql 16 or later: \bind 'public.outbox' and then \i schema/sql/outbox_table.sql
select c.oid, c.relkind, current_user, pg_is_in_recovery(),
       has_table_privilege(c.oid, 'delete'),
       row_security_active(c.oid)
  from pg_class c
 where c.oid = to_regclass($1);
