-- Dead letters of a consumer, in the order of their numbers. Read by column number in consume/apply/letters.c.
--
-- ?1 consumer. ?2: only this one, or null. ?3 1: those that were dealt with, too. ?4 1: without the events. Only with this key (?5),
-- with this in the reason (?6), made since this time (?7); null: any.
select d.id, d.state, d.event_id, d.stream, d.number, d.key, d.reason,
       iif(?4 = '1', null, d.event), iif(?4 = '1', null, d.edited), d.created_at, d.closed_at,
       d.parked, (select count(*) from commitrelay_consumer_waiting w where w.consumer = ?1 and w.parked = d.parked),
       d.digest, iif(d.key is null, null, '\x' || lower(hex(coalesce(d.key_bytes, d.key)))),
       iif(?4 = '1', null, '\x' || lower(hex(coalesce(d.event_bytes, d.event))))
  from commitrelay_consumer_dead_letters d
 where d.consumer = ?1
   and (?2 is null or d.id = ?2)
   and (?3 = '1' or d.state = 'dead' or d.parked is not null)
   and (?5 is null or d.key = ?5)
   and (?6 is null or instr(d.reason, ?6) > 0)
   and (?7 is null or d.created_at >= ?7)
 order by d.id;
