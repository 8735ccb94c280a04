-- Makes the coming partitions of an outbox table that is partitioned by day: those of today and of the next seven days, in UTC.
--
-- `commitrelay init --partitioned day` runs it, and so does each prune. By hand: put the table's name in the place of outbox in
-- double quotes. It may be run again, by the table's owner.
--
-- A partition is made beside the table and then attached, because this locks out no writer; it waits for readers of the default
-- partition. A day stays without a partition of its own if the default partition holds rows of it.
do $commitrelay$
declare
    parent oid := (select typrelid from pg_catalog.pg_type where oid = pg_typeof(null::"outbox")::oid);
    part record;
    day timestamptz;
    found_rows boolean;
begin
    select n.nspname as place, c.relname as name, a.attname as key, nullif(p.partdefid, 0)::regclass as rest into strict part
    from pg_catalog.pg_partitioned_table p
    join pg_catalog.pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
    join pg_catalog.pg_class c on c.oid = p.partrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where p.partrelid = parent;
    for day in
        select generate_series(date_trunc('day', now(), 'UTC'), now() + interval '168 hours', interval '24 hours')
    loop
        continue when exists (
            select from pg_catalog.pg_inherits i
            join pg_catalog.pg_class c on c.oid = i.inhrelid
            cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \((.+)\) TO \((.+)\)$') m
            where i.inhparent = parent
              and case m[1] when 'MINVALUE' then '-infinity' else trim('''' from m[1]) end::timestamptz < day + interval '24 hours'
              and case m[2] when 'MAXVALUE' then 'infinity' else trim('''' from m[2]) end::timestamptz > day);
        if part.rest is not null then
            execute format('select exists (select from %s where %I >= $1 and %I < $2)', part.rest, part.key, part.key)
                into found_rows using day, day + interval '24 hours';
            continue when found_rows;
        end if;
        execute format('create table %I.%I (like %s including all excluding identity)', part.place,
                       left(part.name, 54) || to_char(day at time zone 'UTC', '_YYYYMMDD'), parent::regclass);
        execute format('alter table %s attach partition %I.%I for values from (%L) to (%L)', parent::regclass, part.place,
                       left(part.name, 54) || to_char(day at time zone 'UTC', '_YYYYMMDD'), day, day + interval '24 hours');
    end loop;
end
$commitrelay$;
