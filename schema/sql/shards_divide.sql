-- Divides a pipeline into shards, unless it is divided already or has delivered something undivided. One row: how many shards it has now;
-- 1: it is not divided.
--
-- $1: the pipeline; $2 int: how many shards. All rows come in one statement, so that a prune that sees one of them sees all: a shard that
-- has not run yet holds its rows back. Run by a member (store/postgres/member.c), whose lock keeps an undivided relay away.
with divided as (
    insert into commitrelay.positions as p (pipeline, part, shards) values ($1, '', $2::int)
    on conflict (pipeline, part) do update set shards = excluded.shards
     where p.shards = 1 and p.cursor = '' and p.delivered = 0
    returning shards
), made as (
    insert into commitrelay.positions (pipeline, part)
    select $1, k || '/' || shards from divided, generate_series(0, shards - 1) k
    on conflict (pipeline, part) do nothing
)
select coalesce((select shards from divided), (select shards from commitrelay.positions where pipeline = $1 and part = ''), 1);
