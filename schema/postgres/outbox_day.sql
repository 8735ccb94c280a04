-- The outbox table partitioned by day: as outbox.sql, but old events go as whole partitions, which costs no vacuum.
--
-- Run it with psql in the schema of your choice, then partitions.sql, or let `commitrelay init --partitioned day` do both. The
-- table's name (outbox, wherever it stands in double quotes) is replaced by `commitrelay init`. It may be run again.
--
-- The key of a partitioned table has to hold created_at. So ids are not unique, and neither is seq but for its sequence: never
-- insert a seq of your own (overriding system value).

create table if not exists "outbox" (
    seq bigint generated always as identity,
    xid xid8 not null default pg_current_xact_id(),
    id uuid not null default gen_random_uuid(),
    aggregatetype text not null,
    aggregateid text not null,
    type text not null,
    payload jsonb not null,
    headers jsonb,
    created_at timestamptz not null default clock_timestamp(),
    primary key (created_at, seq)
) partition by range (created_at);

-- Every partition gets the indexes of the table. (seq): a relay reads by seq, and the primary key begins with created_at.
-- (xid, seq): it finds late commits by xid. (id): for `replay --id`.
-- The default partition takes the rows whose day has no partition, so that no insert fails.
do $commitrelay$
declare
    parent oid := (select typrelid from pg_catalog.pg_type where oid = pg_typeof(null::"outbox")::oid);
    indexed name[] := array(
        select a.attname
        from pg_catalog.pg_index i
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = parent and i.indpred is null);
    rest record;
begin
    select n.nspname as place, left(c.relname, 55) || '_default' as name, p.partdefid as oid into rest
    from pg_catalog.pg_partitioned_table p
    join pg_catalog.pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
    join pg_catalog.pg_class c on c.oid = p.partrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where p.partrelid = parent and p.partstrat = 'r' and p.partnatts = 1 and a.attname = 'created_at';
    if rest.oid is null then
        raise exception using errcode = 'wrong_object_type',
            message = format('%s is there already and is not partitioned by range (created_at)', parent::regclass),
            hint = 'rename it, or choose another name with --table: init makes no partitions of a table that is there';
    end if;
    if not 'seq' = any (indexed) then
        create index on "outbox" (seq);
    end if;
    if not 'xid' = any (indexed) then
        create index on "outbox" (xid, seq);
    end if;
    if not 'id' = any (indexed) then
        create index on "outbox" (id);
    end if;
    if rest.oid = 0 then
        execute format('create table %I.%I partition of %s default', rest.place, rest.name, parent::regclass);
    end if;
end
$commitrelay$;
