-- The first events that wait for a key, in order: at most so many, and no further one once they have 1 MiB. Read by column number in
-- consume/apply/letters.c.
--
-- ?1 consumer, ?2 the key, ?3 how many.
select id, event_id, stream, number, digest, '\x' || lower(hex(key)), '\x' || lower(hex(event))
  from (select w.*, sum(length(event)) over (order by id) - length(event) as bytes_before
          from (select *
                  from commitrelay_consumer_waiting
                 where consumer = ?1
                   and parked = ?2
                 order by id
                 limit ?3) w) page
 where bytes_before < 1048576
 order by id;
