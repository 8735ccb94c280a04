-- The consumer's side: remembers which events were handled, so that one sent twice is handled once.
--
-- Run it in the schema of your choice (`commitrelay init --inbox` takes public). It may be run again. In the consumer:
--
--     begin;
--     select inbox_claim('billing', :event_id);   -- false: seen before, commit and skip
--     ...the work...
--     commit;                                     -- a rollback gives the claim back
--
-- A second consumer with the same event waits for the first one's commit, so that exactly one of them gets true. (In
-- repeatable read and serializable it fails instead, with 40001: roll back and begin again.)
--
-- The consumer's role needs no more than this:
--     grant select, insert on inbox to billing;
-- and whoever removes old rows (`commitrelay prune --inbox`): grant select, delete on inbox to ...;

create table if not exists inbox (
    consumer text not null,
    event_id text not null,
    received_at timestamptz not null default clock_timestamp(),
    primary key (consumer, event_id)
);

-- Inserts nothing. It fails where another table inbox was there before, without which no claim would be refused.
insert into inbox (consumer, event_id, received_at)
select '', '', now() where false
    on conflict (consumer, event_id) do nothing;

create or replace function inbox_claim(consumer text, event_id text) returns boolean
    language sql volatile
begin atomic
    with claimed as (
        insert into inbox (consumer, event_id) values ($1, $2) on conflict (consumer, event_id) do nothing returning 1
    )
    select exists (select from claimed);
end;
