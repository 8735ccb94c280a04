-- The consumer's side: remembers which events were handled, so that one sent twice is handled once.
--
-- Run it in the schema of your choice (`commitrelay init --inbox` takes public). It may be run again. In the consumer:
--
--     begin;
--     select inbox_claim('billing', :event_id);   -- false: seen before, commit and skip
--     ...the work...
--     commit;                                     -- a rollback gives the claim back
--
-- A second consumer with the same event waits for the first one's commit, so that exactly one of them gets true.

create table if not exists inbox (
    consumer text not null,
    event_id text not null,
    received_at timestamptz not null default clock_timestamp(),
    primary key (consumer, event_id)
);

create or replace function inbox_claim(consumer text, event_id text) returns boolean
    language sql volatile
begin atomic
    with claimed as (
        insert into inbox (consumer, event_id) values ($1, $2) on conflict do nothing returning 1
    )
    select exists (select from claimed);
end;
