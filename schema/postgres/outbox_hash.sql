-- The outbox table partitioned by hash of the key: as outbox.sql, but in 8 parts that are written and read apart from each other.
--
-- Run it with psql in the schema of your choice, or let `commitrelay init --partitioned hash:8` do it, which replaces the table's
-- name (outbox, wherever it stands in double quotes) and the number of partitions. It may be run again.
--
-- The key of a partitioned table has to hold aggregateid. So id is unique for one aggregateid only, and seq is but for its
-- sequence: never insert a seq of your own (overriding system value).

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
    primary key (aggregateid, seq),
    unique (aggregateid, id)
) partition by hash (aggregateid);

-- Every partition gets the indexes of the table. (seq): a relay reads by seq, and the primary key begins with aggregateid.
-- (xid, seq): it finds late commits by xid.
do $commitrelay$
declare
    partitions constant int := 8;
    parent oid := (select typrelid from pg_catalog.pg_type where oid = pg_typeof(null::"outbox")::oid);
    indexed name[] := array(
        select a.attname
        from pg_catalog.pg_index i
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = parent and i.indpred is null);
    there constant int := (select count(*) from pg_catalog.pg_inherits where inhparent = parent);
    part record;
begin
    select n.nspname as place, c.relname as name into part
    from pg_catalog.pg_partitioned_table p
    join pg_catalog.pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
    join pg_catalog.pg_class c on c.oid = p.partrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where p.partrelid = parent and p.partstrat = 'h' and p.partnatts = 1 and a.attname = 'aggregateid';
    if not found then
        raise exception using errcode = 'wrong_object_type',
            message = format('%s is there already and is not partitioned by hash (aggregateid)', parent::regclass),
            hint = 'rename it, or choose another name with --table: init makes no partitions of a table that is there';
    end if;
    if there not in (0, partitions) then
        raise exception using errcode = 'wrong_object_type',
            message = format('%s is there already, with %s partitions and not %s', parent::regclass, there, partitions),
            hint = 'choose another name with --table: rows do not move when the number of partitions changes';
    end if;
    if not 'seq' = any (indexed) then
        create index on "outbox" (seq);
    end if;
    if not 'xid' = any (indexed) then
        create index on "outbox" (xid, seq);
    end if;
    for n in 0 .. partitions - 1 loop
        exit when there > 0;
        execute format('create table %I.%I partition of %s for values with (modulus %s, remainder %s)', part.place,
                       left(part.name, 58) || '_' || n, parent::regclass, partitions, n);
    end loop;
end
$commitrelay$;
