-- The next dead letters of a pipeline, in the order of their ids; what waits behind one is none,
-- and of those that were removed only the ids are left.
-- Read by column number in
-- relay/store/postgres/dead_letters.c.
--
-- $1 pipeline, $2 part, $3 bigint: those behind this id, $4 bigint: up to this one, $5 boolean: only
-- open ones, $6 boolean: without their payloads, $7 bigint: at most so many.
-- In psql 16 or later: \bind orders '' 0 9223372036854775807 f f 8 and then
-- \i schema/sql/dead_letter_list.sql
select id, event_id, position, topic, key,
       case when not $6::boolean then payload end, headers, reason, code, attempts,
       (extract(epoch from first_failed_at) * 1000000)::bigint,
       (extract(epoch from last_failed_at) * 1000000)::bigint,
       state, aggregatetype, aggregateid, type, created_at, payload_kind, partition,
       (extract(epoch from closed_at) * 1000000)::bigint,
       edited, edited_topic, edited_key, edited_headers,
       case when not $6::boolean then edited_payload end, edits, parks,
       case when parks and state = 'dead'
            then (select count(*)
                    from commitrelay.dead_letters w
                   where w.pipeline = $1
                     and w.part = $2
                     and w.parks
                     and w.state = 'waiting'
                     and sha256(w.key) = sha256(d.key)
                     and w.key = d.key)
            else 0 end
  from commitrelay.dead_letters d
 where pipeline = $1
   and part = $2
   and id > $3::bigint
   and id <= $4::bigint
   and (state = 'dead' or not $5::boolean)
   and state not in ('waiting', 'removed')
 order by id
 limit $7::bigint;
