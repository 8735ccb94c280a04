-- Removes dead letters that were dropped, or edited and then sent, and have been closed for long enough: the event's id and position
-- stay, without anything of its content. `verify` has to know why the row has no message, or another one.
--
-- ?1 pipeline, ?2 part, ?3: closed before this time (RFC 3339), ?4: at most so many.
UPDATE commitrelay_dead_letters
   SET (state, topic, key, payload, headers, aggregatetype, aggregateid, type, created_at, payload_kind, partition,
        reason, code, closed_at, edited, edited_topic, edited_key, edited_headers, edited_payload, parks) =
       ('removed', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        '', '', NULL, 0, NULL, NULL, NULL, NULL, 0)
 WHERE id IN (SELECT id
                FROM commitrelay_dead_letters
               WHERE pipeline = ?1
                 AND part = ?2
                 AND state IN ('retried', 'dropped')
                 AND code <> 'row_kept'
                 AND closed_at < ?3
                 AND (state = 'dropped' OR edits > 0)
               ORDER BY closed_at
               LIMIT ?4);
