-- Divides a pipeline into shards, unless it is divided already or has delivered something undivided. No row.
--
-- $1: the pipeline; $2 int: how many shards; $3: the column by which. All rows come in one statement, so that a prune that sees one of them
-- sees all: a shard that has not run yet holds its rows back. Run by a member (store/postgres/member.c), whose lock keeps an undivided relay
-- away. Of two members at once the second one waits for the first, and what it did is seen by the next statement only.
with divided as (
    insert into commitrelay.positions as p (pipeline, part, shards) values ($1, '', $2::int)
    on conflict (pipeline, part) do update set shards = excluded.shards
     where p.shards = 1 and p.cursor = '' and p.delivered = 0
    returning shards
)
insert into commitrelay.positions (pipeline, part, shard_column)
select $1, k || '/' || shards, $3::text from divided, generate_series(0, shards - 1) k
    on conflict (pipeline, part) do nothing;
