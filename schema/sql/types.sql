-- The types with all that each is made of: the element of an array, what a domain is based on.
-- Read by column number (TYPE_OID ...) in cdc/decode/catalog.c.
--
-- $1 oid[]: the types that are wanted.
-- In psql 16 or later: \bind '{23,1007}' and then \i schema/sql/types.sql
--
-- Only what array_out prints is an array: not int2vector, not point, though they have elements.
with recursive need(oid) as (
    select unnest($1::oid[])
    union
    select r.oid
      from need
      join pg_type t on t.oid = need.oid
     cross join lateral (values (t.typelem), (t.typbasetype)) r(oid)
     where r.oid <> 0
)
select t.oid, n.nspname, t.typname, t.typtype, t.typbasetype, t.typtypmod,
       case when e.typarray = t.oid then e.oid end as element,
       e.typdelim,
       case when t.typtype = 'e'
            then (select string_agg(l.enumlabel::text, ',' order by l.enumsortorder) from pg_enum l where l.enumtypid = t.oid) end as labels
  from need
  join pg_type t on t.oid = need.oid
  join pg_namespace n on n.oid = t.typnamespace
  left join pg_type e on e.oid = t.typelem;
