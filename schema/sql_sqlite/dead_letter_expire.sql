-- Removes dead letters that were sent as they are, and have been closed for long enough.
--
-- ?1 pipeline, ?2 part, ?3: closed before this time (RFC 3339), ?4: at most so many.
DELETE FROM commitrelay_dead_letters
 WHERE id IN (SELECT id
                FROM commitrelay_dead_letters
               WHERE pipeline = ?1
                 AND part = ?2
                 AND state = 'retried'
                 AND code <> 'row_kept'
                 AND closed_at < ?3
                 AND edits = 0
               ORDER BY closed_at
               LIMIT ?4);
