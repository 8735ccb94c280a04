-- Records a dead letter, or renews the one that there is of the same event at the same position.
-- ?1 to ?19: the columns as they are listed here; times as text (RFC 3339), key and payload as
-- blobs.
INSERT INTO commitrelay_dead_letters
       (pipeline, part, event_id, position, topic, key, payload, headers, reason, code, attempts,
        first_failed_at, last_failed_at, state, aggregatetype, aggregateid, type, created_at,
        payload_kind)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
    ON CONFLICT (pipeline, part, event_id, position) DO UPDATE
   SET (reason, code, attempts, last_failed_at, state, topic, key, payload, headers, aggregatetype,
        aggregateid, type, created_at, payload_kind) =
       (excluded.reason, excluded.code, excluded.attempts, excluded.last_failed_at, excluded.state,
        excluded.topic, excluded.key, excluded.payload, excluded.headers, excluded.aggregatetype,
        excluded.aggregateid, excluded.type, excluded.created_at, excluded.payload_kind);
