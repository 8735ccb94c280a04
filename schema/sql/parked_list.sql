-- The parked keys of a pipeline: each with its open dead letter (0: there is none any more), how many
-- events wait behind it, and event_id and position of that letter.
--
-- $1 pipeline, $2 part
select k.key, coalesce(k.letter, 0), k.waiting, d.event_id, d.position
  from (select key, min(id) as first, min(id) filter (where state = 'dead') as letter,
               count(*) filter (where state = 'waiting') as waiting
          from commitrelay.dead_letters
         where pipeline = $1
           and part = $2
           and parks
           and state in ('dead', 'waiting')
         group by key) k
  left join commitrelay.dead_letters d on d.id = k.letter
 order by k.first;
