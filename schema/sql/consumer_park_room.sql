-- How many keys of a consumer are parked, how many events wait, and the oldest dead letter that parks one. Read in
-- consume/apply/parking.c.
--
-- $1 consumer.
select count(distinct parked),
       (select count(*) from commitrelay.consumer_waiting where consumer = $1),
       min(id)
  from commitrelay.consumer_dead_letters
 where consumer = $1
   and parked is not null;
