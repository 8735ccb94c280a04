-- What `commitrelay consume` keeps beside the inbox (schema/postgres/inbox.sql). It makes these tables if it may; else run this
-- file once as an owner. It may be run again.
--
-- The consumer's role needs: grant usage on schema commitrelay to billing;
--     grant select, insert, update on commitrelay.consumer_positions, commitrelay.consumer_dead_letters to billing;

create schema if not exists commitrelay;

-- How far a consumer is in each pipeline's batch files: all events up to this number are applied. (Kafka keeps the offsets itself.)
create table if not exists commitrelay.consumer_positions (
    consumer text not null,
    stream text not null,
    number bigint not null,
    saved_at timestamptz not null default clock_timestamp(),
    primary key (consumer, stream)
);

-- Events that a consumer with `poison: skip` could not apply, whole. They are not in the inbox: sent again they are tried again.
create table if not exists commitrelay.consumer_dead_letters (
    consumer text not null,
    event_id text not null,
    stream text not null,
    number bigint not null,
    key text,
    reason text not null,
    event text not null, -- the line of the event, or what was received instead of one, as it is
    digest text not null, -- of id, key and event: another event of the same id is another letter
    key_bytes bytea, -- key and event as they came, where they are no text: that has U+FFFD for each byte which is none
    event_bytes bytea,
    created_at timestamptz not null default clock_timestamp(),
    primary key (consumer, digest)
);
