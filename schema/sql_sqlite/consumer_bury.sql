-- Keeps an event that a consumer could not apply. Used in consume/apply/inbox_sqlite.c.
--
-- ?1 consumer, ?2 event id, ?3 stream, ?4 number, ?5 key or null, ?6 reason, ?7 the event.
insert into commitrelay_consumer_dead_letters
       (consumer, event_id, stream, number, key, reason, event)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    on conflict (consumer, event_id) do nothing;
