-- Records a dead letter, or renews the one that there is of the same event at the same position.
-- ?1 to ?21: the columns as they are listed here; times as text (RFC 3339), key and payload as
-- blobs. ?22: 1: one that was closed is open again; 0: it stays closed. What an operator edited stays. One that waits stays as it is.
INSERT INTO commitrelay_dead_letters
       (pipeline, part, event_id, position, topic, key, payload, headers, reason, code, attempts,
        first_failed_at, last_failed_at, state, aggregatetype, aggregateid, type, created_at,
        payload_kind, partition, parks)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
        ?20, ?21)
    ON CONFLICT (pipeline, part, event_id, position) DO UPDATE
   SET (reason, code, attempts, last_failed_at, state, topic, key, payload, headers, aggregatetype,
        aggregateid, type, created_at, payload_kind, partition, closed_at, parks) =
       (excluded.reason, excluded.code, excluded.attempts, excluded.last_failed_at, excluded.state,
        excluded.topic, excluded.key, excluded.payload, excluded.headers, excluded.aggregatetype,
        excluded.aggregateid, excluded.type, excluded.created_at, excluded.payload_kind,
        excluded.partition, excluded.closed_at,
        excluded.parks OR (parks AND state = 'dead'))
 WHERE state = 'dead'
    OR (state <> 'waiting' AND ?22);
