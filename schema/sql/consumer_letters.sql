-- Dead letters of a consumer, in the order of their numbers. Read by column number in consume/apply/letters.c.
--
-- $1 consumer. $2: only this one, or null. $3 true: those that were dealt with, too. $4 true: without the events. Only with this key
-- ($5), with this in the reason ($6), made since this time ($7); null: any.
select d.id, d.state, d.event_id, d.stream, d.number, d.key, d.reason,
       case when not $4::boolean then d.event end, case when not $4::boolean then d.edited end,
       to_char(d.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       to_char(d.closed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       d.parked, (select count(*) from commitrelay.consumer_waiting w where w.consumer = $1 and w.parked = d.parked),
       d.digest, coalesce(d.key_bytes, convert_to(d.key, 'UTF8')),
       case when not $4::boolean then coalesce(d.event_bytes, convert_to(d.event, 'UTF8')) end
  from commitrelay.consumer_dead_letters d
 where d.consumer = $1
   and ($2::bigint is null or d.id = $2::bigint)
   and ($3::boolean or d.state = 'dead' or d.parked is not null)
   and ($5::text is null or d.key = $5)
   and ($6::text is null or strpos(d.reason, $6) > 0)
   and ($7::timestamptz is null or d.created_at >= $7::timestamptz)
 order by d.id;
