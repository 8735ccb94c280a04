-- An event waits behind the dead letter of its key. Not if it was applied, or waits already, or is that dead letter itself: after a
-- crash an event comes again. Used in consume/apply/parking.c.
--
-- ?1 consumer, ?2 the key, ?3 digest, ?4 event id, ?5 stream, ?6 number, ?7 the key's bytes, ?8 those of the event.
insert into commitrelay_consumer_waiting (consumer, parked, digest, event_id, stream, number, key, event)
select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
 where not exists (select 1 from inbox where consumer = ?1 and event_id = ?4)
   and not exists (select 1 from commitrelay_consumer_dead_letters
                    where consumer = ?1 and digest = ?3 and (state = 'dead' or parked is not null))
    on conflict (consumer, digest) do nothing;
