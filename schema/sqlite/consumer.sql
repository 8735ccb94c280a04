-- What `commitrelay consume` keeps beside the inbox (schema/sqlite/inbox.sql). It makes these tables, and gives those of an earlier
-- build what they lack; this file may be run again.

-- How far a consumer is in each pipeline's batch files: all events up to this number are applied. (Kafka keeps the offsets itself.)
create table if not exists commitrelay_consumer_positions (
    consumer text not null,
    stream text not null,
    number integer not null,
    saved_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    primary key (consumer, stream)
) without rowid;

-- Events that a consumer with `poison: skip` could not apply, whole. They are not in the inbox: sent again they are tried again.
create table if not exists commitrelay_consumer_dead_letters (
    consumer text not null,
    event_id text not null,
    stream text not null,
    number integer not null,
    key text,
    reason text not null,
    event text not null, -- the line of the event, or what was received instead of one, as it is
    digest text not null, -- of id, key and what was received: another event of the same id is another letter
    key_bytes blob, -- key and event as they came, where they are no text: that has U+FFFD for each byte which is none
    event_bytes blob,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    primary key (consumer, digest)
);
