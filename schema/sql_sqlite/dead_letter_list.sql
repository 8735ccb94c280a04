-- The next dead letters of a pipeline, in the order of their ids; what waits behind one is none,
-- and of those that were removed only the ids are left. Read by column number in
-- relay/store/sqlite/dead_letters.c. ?1: pipeline, ?2: part, ?3: those behind this id,
-- ?4: up to this one, ?5: 1: only open ones, ?6: 1: without their payloads, ?7: at most so many.
SELECT id, event_id, position, topic, key, CASE WHEN NOT ?6 THEN payload END, headers, reason, code, attempts,
       first_failed_at, last_failed_at, state, aggregatetype, aggregateid, type, created_at,
       payload_kind, partition, closed_at, edited, edited_topic, edited_key, edited_headers,
       CASE WHEN NOT ?6 THEN edited_payload END, edits, parks,
       CASE WHEN parks AND state = 'dead'
            THEN (SELECT count(*)
                    FROM commitrelay_dead_letters w
                   WHERE w.pipeline = ?1
                     AND w.part = ?2
                     AND w.parks
                     AND w.key = d.key
                     AND w.state = 'waiting')
            ELSE 0 END
  FROM commitrelay_dead_letters d
 WHERE pipeline = ?1
   AND part = ?2
   AND id > ?3
   AND id <= ?4
   AND (state = 'dead' OR NOT ?5)
   AND state NOT IN ('waiting', 'removed')
 ORDER BY id
 LIMIT ?7;
