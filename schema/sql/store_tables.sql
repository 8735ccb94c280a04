-- Whether the relay's own tables (schema/postgres/relay.sql) are there: one row. No parameters.
--
-- First: a command can look into them. Second: dead letters have all that this version keeps of them. Third: so have all tables; those
-- that only an earlier version has used lack something, and a relay makes what is missing.
with letters as (select coalesce(bool_or(attname = 'edits'), false) as edits,
                        coalesce(bool_or(attname = 'parks'), false) as parks
                   from pg_catalog.pg_attribute
                  where attrelid = to_regclass('commitrelay.dead_letters'))
select to_regclass('commitrelay.positions') is not null
   and to_regclass('commitrelay.control') is not null
   and edits,
       parks,
       parks
   and to_regclass('commitrelay.history') is not null
   and to_regclass('commitrelay.pruned') is not null
   and exists (select from pg_catalog.pg_attribute
                where attrelid = to_regclass('commitrelay.positions')
                  and attname = 'xid_column')
   and exists (select from pg_catalog.pg_attribute
                where attrelid = to_regclass('commitrelay.positions')
                  and attname = 'shard_column')
   and exists (select from pg_catalog.pg_attribute
                where attrelid = to_regclass('commitrelay.control')
                  and attname = 'who')
  from letters;
