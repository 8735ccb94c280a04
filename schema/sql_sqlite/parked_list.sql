-- The parked keys of a pipeline: each with its open dead letter (0: there is none any more), how many
-- events wait behind it, and event_id and position of that letter. ?1: pipeline, ?2: part.
SELECT k.key, coalesce(k.letter, 0), k.waiting, d.event_id, d.position
  FROM (SELECT key, min(id) AS first, min(iif(state = 'dead', id, NULL)) AS letter,
               sum(state = 'waiting') AS waiting
          FROM commitrelay_dead_letters
         WHERE pipeline = ?1
           AND part = ?2
           AND parks
           AND state IN ('dead', 'waiting')
         GROUP BY key) k
  LEFT JOIN commitrelay_dead_letters d ON d.id = k.letter
 ORDER BY k.first;
