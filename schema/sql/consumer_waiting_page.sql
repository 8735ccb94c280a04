-- The first events that wait for a key, in order: at most so many, and no further one once they have 1 MiB. Read by column number in
-- consume/apply/letters.c.
--
-- $1 consumer, $2 the key, $3 how many.
select id, event_id, stream, number, digest, key, event
  from (select w.*, sum(octet_length(event)) over (order by id) - octet_length(event) as bytes_before
          from (select *
                  from commitrelay.consumer_waiting
                 where consumer = $1
                   and parked = $2::bigint
                 order by id
                 limit $3::bigint) w) page
 where bytes_before < 1048576
 order by id;
