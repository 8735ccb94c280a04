-- Removes from the inbox the claims that are old enough, of some pages of the table: a tid range
-- scan reads only these, so that a prune reads the table once, in small transactions, without an
-- index on received_at that every claim would pay for. Read in relay/cli/prune_inbox.c.
--
-- $1 bigint: the first page, $2 bigint: the page behind the last one, $3 bigint: how old a claim
-- must be, in microseconds, $4: of this consumer only; null: of all.
-- In psql 16 or later: \bind 0 1 86400000000 billing and then \i schema/sql/inbox_prune.sql
delete from public.inbox
 where ctid >= format('(%s,0)', $1::bigint)::tid
   and ctid < format('(%s,0)', $2::bigint)::tid
   and received_at < now() - $3::bigint * interval '1 microsecond'
   and ($4::text is null or consumer = $4);
