-- The dead letters of a pipeline, in the order of their ids; what waits behind one is none,
-- and of those that were removed only the ids are left. Read by column number in
-- relay/store/sqlite/dead_letters.c. ?1: pipeline, ?2: part, ?3: only this id; 0: all.
SELECT id, event_id, position, topic, key, payload, headers, reason, code, attempts,
       first_failed_at, last_failed_at, state, aggregatetype, aggregateid, type, created_at,
       payload_kind, partition, closed_at, edited, edited_topic, edited_key, edited_headers,
       edited_payload, edits, parks,
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
   AND (?3 = 0 OR id = ?3)
   AND state NOT IN ('waiting', 'removed')
 ORDER BY id;
