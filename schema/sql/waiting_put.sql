-- Stores events that wait behind a dead letter of their key, in the order of the arrays. Each array
-- has one element an event.
--
-- $1 pipeline, $2 part, $3 to $16 arrays: event_id, position, topic, key and payload (bytea[]),
-- headers, reason, code, aggregatetype, aggregateid, type, created_at, payload_kind, partition
-- (int[]). An event that waits already, or is an open dead letter, stays as it is. One that was
-- retried or dropped and comes again goes to the end, so it gets a new id.
insert into commitrelay.dead_letters as d
       (pipeline, part, event_id, position, topic, key, payload, headers, reason, code,
        aggregatetype, aggregateid, type, created_at, payload_kind, partition, state, parks)
select $1, $2, event_id, position, topic, key, payload, headers, reason, code,
       aggregatetype, aggregateid, type, created_at, payload_kind, partition, 'waiting', true
  from unnest($3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::text[],
              $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
              $15::text[], $16::int[])
       with ordinality as e (event_id, position, topic, key, payload, headers, reason, code,
                             aggregatetype, aggregateid, type, created_at, payload_kind,
                             partition, n)
 order by n
    on conflict (pipeline, part, event_id, position) do update
   set id = default, state = excluded.state, parks = true, closed_at = null,
       (topic, key, payload, headers, reason, code, aggregatetype, aggregateid, type, created_at,
        payload_kind, partition) =
       (excluded.topic, excluded.key, excluded.payload, excluded.headers, excluded.reason,
        excluded.code, excluded.aggregatetype, excluded.aggregateid, excluded.type,
        excluded.created_at, excluded.payload_kind, excluded.partition)
 where d.state not in ('dead', 'waiting');
