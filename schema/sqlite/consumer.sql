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

-- Events that a consumer with `poison: skip` or `park_key` could not apply, whole. They are not in the inbox: sent again they are tried
-- again.
create table if not exists commitrelay_consumer_dead_letters (
    id integer primary key autoincrement, -- its number for `commitrelay dead-letters`
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
    state text not null default 'dead', -- dead: open; retried: it was applied; dropped: it was given up
    closed_at text, -- when it was retried or dropped
    edited text, -- the event as `dead-letters edit` has left it; null: as it came
    parked integer, -- later events of this key (a hash of topic and key) wait behind it; null: none do
    unique (consumer, digest)
);
create index if not exists commitrelay_consumer_dead_letters_parked on commitrelay_consumer_dead_letters (consumer, parked)
    where parked is not null;

-- With `poison: park_key`: later events of a key with a dead letter. They are applied in the order of `id` once that was retried or
-- dropped, and are not in the inbox before.
create table if not exists commitrelay_consumer_waiting (
    id integer primary key autoincrement,
    consumer text not null,
    parked integer not null, -- the key, as in the dead letters
    digest text not null, -- as there
    event_id text not null,
    stream text not null,
    number integer not null,
    key blob not null,
    event blob not null,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    unique (consumer, digest)
);
create index if not exists commitrelay_consumer_waiting_parked on commitrelay_consumer_waiting (consumer, parked, id);
