-- The parked keys of a pipeline: each with its open dead letter (0: there is none any more) and how
-- many events wait behind it. ?1: pipeline, ?2: part.
SELECT key, coalesce(min(iif(state = 'dead', id, NULL)), 0), sum(state = 'waiting')
  FROM commitrelay_dead_letters
 WHERE pipeline = ?1
   AND part = ?2
   AND parks
   AND state IN ('dead', 'waiting')
 GROUP BY key
 ORDER BY min(id);
