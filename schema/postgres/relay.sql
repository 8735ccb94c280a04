-- The relay's own tables: how far each pipeline got, what commands ask of it, and what could not be delivered.
-- `commitrelay run` makes them if it may; else run this file once as an owner. It may be run again.

create schema if not exists commitrelay;

-- One row a pipeline, updated several times a second: room in the page keeps the updates out of the index.
create table if not exists commitrelay.positions (
    pipeline text not null,
    part text not null default '',
    cursor text not null default '',
    delivered bigint not null default 0,
    epoch bigint not null default 0,
    system_identifier bigint,
    state text not null default '',
    detail text not null default '',
    paused boolean not null default false,
    saved_at timestamptz,
    primary key (pipeline, part)
) with (
    fillfactor = 20,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

-- What the pipeline reads, for `prune`: rows go only when every pipeline on their table has delivered them. '': it needs no rows.
-- Null: it was last started by an earlier version, which did not say.
alter table commitrelay.positions
    add column if not exists source_table text,
    add column if not exists source_mode text,
    add column if not exists seq_column text,
    add column if not exists xid_column text;
-- A pipeline that is divided into shards has a row for each, whose part is `k/N`. The row of part '' says how many there are and has no
-- position of its own. shard_column: by which column they are divided, for `prune`.
alter table commitrelay.positions
    add column if not exists shards int not null default 1,
    add column if not exists shard_column text;

-- Of the rows of a table that were created before, a prune may have removed some: `verify` cannot compare their messages. The name has
-- its schema, and both are in double quotes.
create table if not exists commitrelay.pruned (
    source_table text not null primary key,
    pruned_before timestamptz not null
);
-- An earlier build noted it with the pipelines.
do $commitrelay$
begin
    if exists (select from pg_catalog.pg_attribute
                where attrelid = 'commitrelay.positions'::regclass
                  and attname = 'pruned_before'
                  and not attisdropped) then
        insert into commitrelay.pruned (source_table, pruned_before)
        select source_table, max(pruned_before)
          from commitrelay.positions
         where pruned_before is not null
           and source_table <> ''
         group by source_table
            on conflict do nothing;
        alter table commitrelay.positions drop column pruned_before;
    end if;
end
$commitrelay$;

-- Where a pipeline stood when, for `position history` and `position set --time`.
create table if not exists commitrelay.history (
    pipeline text not null,
    part text not null default '',
    at timestamptz not null,
    cursor text not null,
    primary key (pipeline, part, at)
);

create table if not exists commitrelay.control (
    id bigint generated always as identity primary key,
    pipeline text not null,
    part text not null default '',
    command text not null,
    argument text not null default '',
    requested_at timestamptz not null default now(),
    acknowledged_at timestamptz,
    answer text not null default ''
);
create index if not exists control_pending_idx on commitrelay.control (pipeline, part, id)
    where acknowledged_at is null;
-- An earlier version named the commands that it knew.
alter table commitrelay.control drop constraint if exists control_command_check;
-- Who gave the command: the uid and user name of its process, as the command said.
alter table commitrelay.control add column if not exists who text not null default '';

create table if not exists commitrelay.dead_letters (
    id bigint generated always as identity primary key,
    pipeline text not null,
    part text not null default '',
    event_id text not null default '',
    position text not null default '',
    topic text,
    key bytea,
    payload bytea,
    headers text,
    aggregatetype text,
    aggregateid text,
    type text,
    created_at text,
    payload_kind text,
    partition int,
    reason text not null default '',
    code text not null default '',
    attempts bigint not null default 0,
    first_failed_at timestamptz,
    last_failed_at timestamptz,
    state text not null default 'dead',
    closed_at timestamptz,
    edited int not null default 0,
    edited_topic text,
    edited_key bytea,
    edited_headers text,
    edited_payload bytea,
    edits bigint not null default 0,
    parks boolean not null default false,
    unique (pipeline, part, event_id, position)
);
-- Made by an earlier version, it lacks these.
alter table commitrelay.dead_letters
    add column if not exists aggregatetype text,
    add column if not exists aggregateid text,
    add column if not exists type text,
    add column if not exists created_at text,
    add column if not exists payload_kind text,
    add column if not exists partition int,
    add column if not exists closed_at timestamptz,
    add column if not exists edited int not null default 0,
    add column if not exists edited_topic text,
    add column if not exists edited_key bytea,
    add column if not exists edited_headers text,
    add column if not exists edited_payload bytea,
    add column if not exists edits bigint not null default 0,
    add column if not exists parks boolean not null default false;
-- Of those that were removed an id may stay for ever, and is in nobody's way.
create index if not exists dead_letters_open_idx on commitrelay.dead_letters (pipeline, part, id)
    where state = 'dead';
create index if not exists dead_letters_removed_idx on commitrelay.dead_letters (pipeline, part, id)
    where state = 'removed';
create index if not exists dead_letters_closed_idx on commitrelay.dead_letters (pipeline, part, closed_at)
    where closed_at is not null;
-- What waits behind a dead letter of its key (delivery.poison: park_key). A key may be longer than an index takes.
create index if not exists dead_letters_parked_idx on commitrelay.dead_letters (pipeline, part, sha256(key), id)
    where parks;

-- One row a `commitrelay replay` that has not come to its end: what it sends, and how far it is.
create table if not exists commitrelay.replays (
    pipeline text not null,
    part text not null default '',
    id text not null,
    asked text not null,
    cursor text not null default '',
    delivered bigint not null default 0,
    epoch bigint not null default 0,
    started_at timestamptz not null default now(),
    saved_at timestamptz,
    primary key (pipeline, part, id)
);
