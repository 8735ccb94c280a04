-- Counts the claims that inbox_prune.sql would remove; $1 to $4 as there.
select count(*)
  from public.inbox
 where ctid >= format('(%s,0)', $1::bigint)::tid
   and ctid < format('(%s,0)', $2::bigint)::tid
   and received_at < now() - $3::bigint * interval '1 microsecond'
   and ($4::text is null or consumer = $4);
