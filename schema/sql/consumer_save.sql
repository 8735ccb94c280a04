-- How far a consumer is in a stream; never back. Read in consume/apply/inbox_postgres.c.
--
-- $1 consumer, $2 stream, $3 number.
insert into commitrelay.consumer_positions as p (consumer, stream, number)
values ($1, $2, $3::bigint)
    on conflict (consumer, stream) do update
   set number = excluded.number, saved_at = clock_timestamp()
 where p.number < excluded.number;
