-- The outbox table: writers insert one row an event, in the transaction that changes their data.
--
-- Run it with psql in the schema of your choice, or let `commitrelay init` do it, which replaces the table's name (outbox,
-- wherever it stands in double quotes) by the configured one. It may be run again: what is there stays as it is.
--
-- For events of one key to arrive in order, lock or update the aggregate's own row before inserting its event.

create table if not exists "outbox" (
    seq bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    id uuid not null default gen_random_uuid() unique,
    aggregatetype text not null,
    aggregateid text not null,
    type text not null,
    payload jsonb not null,
    headers jsonb,
    created_at timestamptz not null default clock_timestamp()
);

-- The relay finds the rows of newly committed transactions by xid. The server names the index after the table, so the
-- check goes by columns.
do $commitrelay$
begin
    if not exists (
        select from pg_catalog.pg_index i
        join pg_catalog.pg_type t on t.typrelid = i.indrelid
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where t.oid = pg_typeof(null::"outbox")::oid and a.attname = 'xid' and i.indpred is null
    ) then
        create index on "outbox" (xid, seq);
    end if;
end
$commitrelay$;
