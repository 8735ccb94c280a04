-- Whether the relay's own tables (schema/postgres/relay.sql) are there: one row. No parameters.
--
-- First: a command can look into them. Second: they have all that this version keeps, which those lack that only an earlier
-- version has used; a relay makes what is missing.
select to_regclass('commitrelay.positions') is not null
   and to_regclass('commitrelay.control') is not null
   and exists (select from pg_catalog.pg_attribute
                where attrelid = to_regclass('commitrelay.dead_letters')
                  and attname = 'edits'),
       to_regclass('commitrelay.history') is not null
   and exists (select from pg_catalog.pg_attribute
                where attrelid = to_regclass('commitrelay.positions')
                  and attname = 'pruned_before')
   and exists (select from pg_catalog.pg_attribute
                where attrelid = to_regclass('commitrelay.positions')
                  and attname = 'shard_column')
   and exists (select from pg_catalog.pg_attribute
                where attrelid = to_regclass('commitrelay.control')
                  and attname = 'who')
   and exists (select from pg_catalog.pg_attribute
                where attrelid = to_regclass('commitrelay.dead_letters')
                  and attname = 'parks');
