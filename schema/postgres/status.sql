-- What `mode: status` adds to the outbox table: the relay marks each row instead of remembering how far it got.
--
-- Run it after outbox.sql, in the same way; the table's name (outbox in double quotes) is replaced by `commitrelay init`.
-- It may be run again.

alter table "outbox"
    add column if not exists status text not null default 'pending'
        check (status in ('pending', 'done', 'failed')),
    add column if not exists attempts int not null default 0,
    add column if not exists last_error text,
    add column if not exists next_attempt_at timestamptz,
    add column if not exists published_at timestamptz,
    add column if not exists claimed_by text,
    add column if not exists claimed_until timestamptz;

-- The first index is the queue: every read starts at its lowest row. The second holds the few rows that wait for another
-- try, so that looking for what is due never walks the queue.
do $commitrelay$
declare
    table_oid oid := (select typrelid from pg_catalog.pg_type where oid = pg_typeof(null::"outbox")::oid);
    pending_on name[] := array(
        select a.attname
        from pg_catalog.pg_index i
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = table_oid and pg_get_expr(i.indpred, i.indrelid) like '%status%pending%');
begin
    if not 'seq' = any (pending_on) then
        create index on "outbox" (seq) where status = 'pending';
    end if;
    if not 'next_attempt_at' = any (pending_on) then
        create index on "outbox" (next_attempt_at) where status = 'pending' and next_attempt_at is not null;
    end if;
end
$commitrelay$;

-- Each mark leaves a dead entry at the head of the very index the relay scans: vacuum by count, early and unthrottled.
alter table "outbox" set (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.2
);
