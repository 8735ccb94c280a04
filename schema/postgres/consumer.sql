-- What `commitrelay consume` keeps beside the inbox (schema/postgres/inbox.sql). It makes these tables if it may; else run this
-- file once as an owner. It may be run again, and gives tables of an earlier build what they lack.
--
-- The consumer's role needs: grant usage on schema commitrelay to billing;
--     grant select, insert, update on commitrelay.consumer_positions, commitrelay.consumer_dead_letters to billing;
--     grant select, insert, delete on commitrelay.consumer_waiting to billing;

create schema if not exists commitrelay;

-- How far a consumer is in each pipeline's batch files: all events up to this number are applied. (Kafka keeps the offsets itself.)
create table if not exists commitrelay.consumer_positions (
    consumer text not null,
    stream text not null,
    number bigint not null,
    saved_at timestamptz not null default clock_timestamp(),
    primary key (consumer, stream)
);

-- Events that a consumer with `poison: skip` or `park_key` could not apply, whole. They are not in the inbox: sent again they are tried
-- again.
create table if not exists commitrelay.consumer_dead_letters (
    id bigint generated always as identity, -- its number for `commitrelay dead-letters`
    consumer text not null,
    event_id text not null,
    stream text not null,
    number bigint not null,
    key text,
    reason text not null,
    event text not null, -- the line of the event, or what was received instead of one, as it is
    digest text not null, -- of id, key and what was received: another event of the same id is another letter
    key_bytes bytea, -- key and event as they came, where they are no text: that has U+FFFD for each byte which is none
    event_bytes bytea,
    created_at timestamptz not null default clock_timestamp(),
    state text not null default 'dead', -- dead: open; retried: it was applied; dropped: it was given up
    closed_at timestamptz, -- when it was retried or dropped
    edited text, -- the event as `dead-letters edit` has left it; null: as it came
    parked bigint, -- later events of this key (a hash of topic and key) wait behind it; null: none do
    primary key (consumer, digest)
);
-- An earlier build told letters apart by their ids alone. What it kept stays, under a digest that no event has.
alter table commitrelay.consumer_dead_letters
    add column if not exists digest text,
    add column if not exists key_bytes bytea,
    add column if not exists event_bytes bytea,
    add column if not exists id bigint generated always as identity,
    add column if not exists state text not null default 'dead',
    add column if not exists closed_at timestamptz,
    add column if not exists edited text,
    add column if not exists parked bigint;
do $commitrelay$
begin
    if exists (select from pg_catalog.pg_attribute
                where attrelid = 'commitrelay.consumer_dead_letters'::regclass
                  and attname = 'digest'
                  and not attnotnull) then
        update commitrelay.consumer_dead_letters set digest = 'earlier ' || event_id where digest is null;
        alter table commitrelay.consumer_dead_letters
            drop constraint if exists consumer_dead_letters_pkey,
            add primary key (consumer, digest);
    end if;
end
$commitrelay$;
create unique index if not exists consumer_dead_letters_id on commitrelay.consumer_dead_letters (id);
create index if not exists consumer_dead_letters_parked on commitrelay.consumer_dead_letters (consumer, parked) where parked is not null;

-- With `poison: park_key`: later events of a key with a dead letter. They are applied in the order of `id` once that was retried or
-- dropped, and are not in the inbox before.
create table if not exists commitrelay.consumer_waiting (
    id bigint generated always as identity primary key,
    consumer text not null,
    parked bigint not null, -- the key, as in consumer_dead_letters
    digest text not null, -- as there
    event_id text not null,
    stream text not null,
    number bigint not null,
    key bytea not null,
    event bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    unique (consumer, digest)
);
create index if not exists consumer_waiting_parked on commitrelay.consumer_waiting (consumer, parked, id);
