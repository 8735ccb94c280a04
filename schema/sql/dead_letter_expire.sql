-- Removes dead letters that have been closed for long enough. Of one that was dropped, or edited and then sent, the event's id and
-- position stay, without anything of its content: `verify` has to know why the row has no message, or another one.
--
-- $1 pipeline, $2 part, $3 bigint: closed before this time, in microseconds since 1970, $4 bigint: at most so many.
-- One row: how many were removed. Rows that somebody holds are left for the next time.
with old as (select id, state = 'dropped' or edits > 0 as told
               from commitrelay.dead_letters
              where pipeline = $1
                and part = $2
                and state in ('retried', 'dropped')
                and code <> 'row_kept'
                and closed_at < timestamptz 'epoch' + $3::bigint * interval '1 microsecond'
              order by closed_at
              limit $4::bigint
                for update skip locked),
     kept as (update commitrelay.dead_letters d
                 set (state, topic, key, payload, headers, aggregatetype, aggregateid, type, created_at, payload_kind, partition,
                      reason, code, closed_at, edited, edited_topic, edited_key, edited_headers, edited_payload, parks) =
                     ('removed', null, null, null, null, null, null, null, null, null, null,
                      '', '', null, 0, null, null, null, null, false)
                from old
               where d.id = old.id
                 and old.told),
     gone as (delete from commitrelay.dead_letters
               where id in (select id from old where not told))
select count(*) from old;
