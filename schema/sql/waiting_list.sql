-- What waits of a key, in order. The columns are those of dead_letter_list.sql.
--
-- $1 pipeline, $2 part, $3 bytea: the key, $4 bigint: those behind this id, $5 bigint: at most so
-- many, $6 bigint: none once the payloads of those before it have so many bytes.
select id, event_id, position, topic, key, payload, headers, reason, code, attempts,
       (extract(epoch from first_failed_at) * 1000000)::bigint,
       (extract(epoch from last_failed_at) * 1000000)::bigint,
       state, aggregatetype, aggregateid, type, created_at, payload_kind, partition,
       (extract(epoch from closed_at) * 1000000)::bigint,
       edited, edited_topic, edited_key, edited_headers, edited_payload, edits, parks, 0
  from (select w.*, sum(coalesce(octet_length(payload), 0)) over (order by id)
                    - coalesce(octet_length(payload), 0) as before
          from (select *
                  from commitrelay.dead_letters
                 where pipeline = $1
                   and part = $2
                   and parks
                   and state = 'waiting'
                   and sha256(key) = sha256($3::bytea)
                   and key = $3::bytea
                   and id > $4::bigint
                 order by id
                 limit $5::bigint) w) p
 where before < $6::bigint
 order by id;
