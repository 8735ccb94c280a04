-- Removes an event that waited, and those of its key before it, because they were sent.
--
-- $1 pipeline, $2 part, $3 bigint: its id, $4 bigint: what is behind this id. Nothing happens if it
-- does not wait.
delete from commitrelay.dead_letters d
 using commitrelay.dead_letters last
 where last.pipeline = $1
   and last.part = $2
   and last.id = $3::bigint
   and last.state = 'waiting'
   and d.pipeline = $1
   and d.part = $2
   and d.parks
   and d.state = 'waiting'
   and sha256(d.key) = sha256(last.key)
   and d.key = last.key
   and d.id > $4::bigint
   and d.id <= $3::bigint;
