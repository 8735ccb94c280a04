-- How far a consumer is in a stream; never back. Used in consume/apply/inbox_sqlite.c.
--
-- ?1 consumer, ?2 stream, ?3 number.
insert into commitrelay_consumer_positions (consumer, stream, number)
values (?1, ?2, ?3)
    on conflict (consumer, stream) do update
   set number = excluded.number, saved_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
 where number < excluded.number;
