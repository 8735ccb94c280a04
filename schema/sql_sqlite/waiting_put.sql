-- Stores an event that waits behind a dead letter of its key. ?1 to ?16: the columns as they are
-- listed here; key and payload as blobs. One that waits already, or is an open dead letter, stays
-- as it is. One that was retried or dropped and comes again goes to the end, so it gets a new id.
INSERT INTO commitrelay_dead_letters
       (pipeline, part, event_id, position, topic, key, payload, headers, reason, code,
        aggregatetype, aggregateid, type, created_at, payload_kind, partition, state, parks)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, 'waiting', 1)
    ON CONFLICT (pipeline, part, event_id, position) DO UPDATE
   SET (id, state, parks, closed_at, topic, key, payload, headers, reason, code, aggregatetype,
        aggregateid, type, created_at, payload_kind, partition) =
       ((SELECT max(seq, (SELECT max(id) FROM commitrelay_dead_letters)) + 1
           FROM sqlite_sequence
          WHERE name = 'commitrelay_dead_letters'),
        excluded.state, excluded.parks, NULL, excluded.topic, excluded.key, excluded.payload,
        excluded.headers, excluded.reason, excluded.code, excluded.aggregatetype,
        excluded.aggregateid, excluded.type, excluded.created_at, excluded.payload_kind,
        excluded.partition)
 WHERE state NOT IN ('dead', 'waiting');
