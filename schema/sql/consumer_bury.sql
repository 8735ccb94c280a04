-- Keeps an event that a consumer could not apply. Read in consume/apply/inbox_postgres.c.
--
-- $1 consumer, $2 event id, $3 stream, $4 number, $5 key or null, $6 reason, $7 the event, $8 the digest of all three,
-- $9 and $10 the bytes of key and event where they are no text, else null. $11: the key that it parks, or null.
insert into commitrelay.consumer_dead_letters as d
       (consumer, event_id, stream, number, key, reason, event, digest, key_bytes, event_bytes, parked)
values ($1, $2, $3, $4::bigint, $5, $6, $7, $8, $9::bytea, $10::bytea, $11::bigint)
    on conflict (consumer, digest) do update
   set state = 'dead', closed_at = null, reason = excluded.reason, parked = coalesce(d.parked, excluded.parked),
       edited = case when d.state = 'dead' then d.edited end;
