-- Notes that a prune may remove rows of a table; the mark only grows. Used in relay/store/postgres/gone.c.
--
-- $1 text: the table's quoted name, $2 bigint: rows that were created before now plus so many microseconds.
insert into commitrelay.pruned as p (source_table, pruned_before)
values ($1, now() + $2::bigint * interval '1 microsecond')
    on conflict (source_table) do update
   set pruned_before = greatest(p.pruned_before, excluded.pruned_before);
