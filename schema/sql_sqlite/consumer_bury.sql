-- Keeps an event that a consumer could not apply. Used in consume/apply/inbox_sqlite.c.
--
-- ?1 consumer, ?2 event id, ?3 stream, ?4 number, ?5 key or null, ?6 reason, ?7 the event, ?8 the digest of all three,
-- ?9 and ?10 the bytes of key and event where they are no text, else null. ?11: the key that it parks, or null.
insert into commitrelay_consumer_dead_letters
       (consumer, event_id, stream, number, key, reason, event, digest, key_bytes, event_bytes, parked)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    on conflict (consumer, digest) do update
   set edited = case when state = 'dead' then edited end, state = 'dead', closed_at = null, reason = excluded.reason,
       parked = coalesce(parked, excluded.parked);
