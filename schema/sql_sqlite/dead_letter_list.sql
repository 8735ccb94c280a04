-- The dead letters of a pipeline, in the order of their ids. Read by column number in
-- relay/store/sqlite/dead_letters.c. ?1: pipeline, ?2: part, ?3: only this id; 0: all.
SELECT id, event_id, position, topic, key, payload, headers, reason, code, attempts,
       first_failed_at, last_failed_at, state, aggregatetype, aggregateid, type, created_at,
       payload_kind, partition, closed_at, edited, edited_topic, edited_key, edited_headers,
       edited_payload, edits
  FROM commitrelay_dead_letters
 WHERE pipeline = ?1
   AND part = ?2
   AND (?3 = 0 OR id = ?3)
 ORDER BY id;
