-- Which of these keys are parked. Read in consume/apply/parking.c, in a transaction that has the write lock.
--
-- ?1 consumer, ?2 a JSON array of keys.
select parked
  from commitrelay_consumer_dead_letters
 where consumer = ?1
   and parked in (select value from json_each(?2))
 order by id;
