-- Which of these keys are parked. Their dead letters are locked until the end of the transaction: so a key that is not named is free,
-- and one that is named stays parked. Read in consume/apply/parking.c.
--
-- $1 consumer, $2 a JSON array of keys.
select parked
  from commitrelay.consumer_dead_letters
 where consumer = $1
   and parked = any (array(select k::bigint from jsonb_array_elements_text($2::jsonb) k))
 order by id
   for no key update;
