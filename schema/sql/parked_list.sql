-- The parked keys of a pipeline: each with its open dead letter (0: there is none any more) and how
-- many events wait behind it.
--
-- $1 pipeline, $2 part
select key, coalesce(min(id) filter (where state = 'dead'), 0),
       count(*) filter (where state = 'waiting')
  from commitrelay.dead_letters
 where pipeline = $1
   and part = $2
   and parks
   and state in ('dead', 'waiting')
 group by key
 order by min(id);
