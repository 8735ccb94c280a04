-- Claims events in the inbox: a row for each of them, in their order, true if it was claimed now.
-- Read in consume/apply/inbox_postgres.c.
--
-- $1 text: the consumer. $2 text[]: the ids.
select public.inbox_claim($1, e.id)
  from unnest($2::text[]) with ordinality e(id, n)
 order by e.n;
