-- How many pages the inbox has, for inbox_prune.sql; of one that is partitioned by consumer: its
-- largest partition. Null: there is no inbox in the schema public.
select greatest(pg_relation_size(to_regclass('public.inbox')), max(pg_relation_size(relid)))
       / current_setting('block_size')::bigint
  from pg_partition_tree(to_regclass('public.inbox'));
