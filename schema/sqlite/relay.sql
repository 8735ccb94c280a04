-- The relay's own tables for SQLite, beside the outbox. `commitrelay run` makes them; this file may be run again.

-- Who this database is: told apart from a file that was put in its place.
create table if not exists commitrelay_meta (
    name text not null primary key,
    value text not null
);
insert or ignore into commitrelay_meta (name, value) values ('identity', lower(hex(randomblob(16))));

-- One row a pipeline: how far it got. A save compares epoch, which each start raises.
create table if not exists commitrelay_positions (
    pipeline text not null,
    part text not null default '',
    cursor text not null default '',
    delivered integer not null default 0,
    epoch integer not null default 0,
    saved_at text,
    state text not null default '',
    detail text not null default '',
    paused integer not null default 0,
    -- What it reads, for `prune`. '': it needs no rows; null: last started by an earlier version, which did not say.
    source_table text,
    source_mode text,
    primary key (pipeline, part)
);

-- Of the rows of a table that were created before, a prune may have removed some: `verify` cannot compare their messages.
create table if not exists commitrelay_pruned (
    source_table text not null primary key collate nocase,
    pruned_before text not null
) without rowid;

-- Where a pipeline stood when, for `position history` and `position set --time`. The time is in microseconds since 1970 (UTC).
create table if not exists commitrelay_history (
    pipeline text not null,
    part text not null default '',
    at_us integer not null,
    cursor text not null,
    primary key (pipeline, part, at_us)
) without rowid;

-- What a command asks of the running daemon, and what it answered.
create table if not exists commitrelay_control (
    id integer primary key autoincrement,
    pipeline text not null,
    part text not null default '',
    command text not null,
    argument text not null default '',
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    acknowledged integer not null default 0,
    answer text not null default '',
    who text not null default '' -- uid and user name of the command's process, as it said
);

create table if not exists commitrelay_dead_letters (
    id integer primary key autoincrement,
    pipeline text not null,
    part text not null default '',
    event_id text not null default '',
    position text not null default '',
    topic text,
    key blob,
    payload blob,
    headers text,
    aggregatetype text,
    aggregateid text,
    type text,
    created_at text,
    payload_kind text,
    partition integer,
    reason text not null default '',
    code text not null default '',
    attempts integer not null default 0,
    first_failed_at text,
    last_failed_at text,
    state text not null default 'dead',
    closed_at text,
    edited integer not null default 0,
    edited_topic text,
    edited_key blob,
    edited_headers text,
    edited_payload blob,
    edits integer not null default 0,
    parks integer not null default 0,
    unique (pipeline, part, event_id, position)
);
-- Of those that were removed an id may stay for ever, and is in nobody's way.
create index if not exists commitrelay_dead_letters_open on commitrelay_dead_letters (pipeline, part, id)
    where state = 'dead';
create index if not exists commitrelay_dead_letters_removed on commitrelay_dead_letters (pipeline, part, id)
    where state = 'removed';
create index if not exists commitrelay_dead_letters_closed on commitrelay_dead_letters (pipeline, part, closed_at)
    where closed_at is not null;
-- What waits behind a dead letter of its key (delivery.poison: park_key).
create index if not exists commitrelay_dead_letters_parked on commitrelay_dead_letters (pipeline, part, key, id)
    where parks;

-- One row a `commitrelay replay` that has not come to its end: what it sends, and how far it is.
create table if not exists commitrelay_replays (
    pipeline text not null,
    part text not null default '',
    id text not null,
    asked text not null,
    cursor text not null default '',
    delivered integer not null default 0,
    epoch integer not null default 0,
    started_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    saved_at text,
    primary key (pipeline, part, id)
);
