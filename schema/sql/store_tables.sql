-- Whether the relay's own tables (schema/postgres/relay.sql) are there as this version needs them:
-- one row, true or false. No parameters.
--
-- The column edits came last: without it the tables are those of an earlier version.
select to_regclass('commitrelay.positions') is not null
   and to_regclass('commitrelay.control') is not null
   and exists (select from pg_catalog.pg_attribute
                where attrelid = to_regclass('commitrelay.dead_letters')
                  and attname = 'edits');
