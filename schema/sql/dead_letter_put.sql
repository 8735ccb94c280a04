-- Records a dead letter, or renews the one that there is of the same event at the same position.
--
-- $1 pipeline, $2 part, $3 event_id, $4 position, $5 topic, $6 and $7 bytea: key and payload,
-- $8 headers, $9 reason, $10 code, $11 attempts, $12 and $13 bigint: when it failed first and last,
-- in microseconds since 1970, $14 state, $15 aggregatetype, $16 aggregateid, $17 type,
-- $18 created_at, $19 payload_kind, $20 int: the partition, $21 boolean: later events of its key wait.
-- $22 boolean: one that was closed is open again; else it stays closed. What an operator edited stays. One that waits stays as it is.
insert into commitrelay.dead_letters as d
       (pipeline, part, event_id, position, topic, key, payload, headers, reason, code, attempts,
        first_failed_at, last_failed_at, state, aggregatetype, aggregateid, type, created_at,
        payload_kind, partition, parks)
values ($1, $2, $3, $4, $5, $6::bytea, $7::bytea, $8, $9, $10, $11::bigint,
        timestamptz 'epoch' + $12::bigint * interval '1 microsecond',
        timestamptz 'epoch' + $13::bigint * interval '1 microsecond', $14, $15, $16, $17, $18,
        $19, $20::int, $21::boolean)
    on conflict (pipeline, part, event_id, position) do update
   set (reason, code, attempts, last_failed_at, state, topic, key, payload, headers, aggregatetype,
        aggregateid, type, created_at, payload_kind, partition, closed_at, parks) =
       (excluded.reason, excluded.code, excluded.attempts, excluded.last_failed_at, excluded.state,
        excluded.topic, excluded.key, excluded.payload, excluded.headers, excluded.aggregatetype,
        excluded.aggregateid, excluded.type, excluded.created_at, excluded.payload_kind,
        excluded.partition, excluded.closed_at,
        excluded.parks or (d.parks and d.state = 'dead'))
 where d.state = 'dead'
    or (d.state <> 'waiting' and $22::boolean)
returning id;
