-- What waits of a key, in order. The columns are those of dead_letter_list.sql. ?1: pipeline,
-- ?2: part, ?3: the key, a blob, ?4: those behind this id, ?5: at most so many.
SELECT id, event_id, position, topic, key, payload, headers, reason, code, attempts,
       first_failed_at, last_failed_at, state, aggregatetype, aggregateid, type, created_at,
       payload_kind, partition, closed_at, edited, edited_topic, edited_key, edited_headers,
       edited_payload, edits, parks, 0
  FROM commitrelay_dead_letters
 WHERE pipeline = ?1
   AND part = ?2
   AND parks
   AND key = ?3
   AND state = 'waiting'
   AND id > ?4
 ORDER BY id
 LIMIT ?5;
