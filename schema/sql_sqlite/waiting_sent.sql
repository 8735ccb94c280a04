-- Removes an event that waited, and those of its key before it, because they were sent. ?1:
-- pipeline, ?2: part, ?3: its id, ?4: what is behind this id. Nothing happens if it does not wait.
DELETE FROM commitrelay_dead_letters
 WHERE pipeline = ?1
   AND part = ?2
   AND parks
   AND key = (SELECT key
                FROM commitrelay_dead_letters
               WHERE pipeline = ?1
                 AND part = ?2
                 AND id = ?3
                 AND state = 'waiting')
   AND state = 'waiting'
   AND id > ?4
   AND id <= ?3;
