-- The same for a build that had digests, and no numbers yet. Used in consume/apply/inbox_sqlite.c. No parameters.
insert into commitrelay_consumer_dead_letters
       (consumer, event_id, stream, number, key, reason, event, digest, key_bytes, event_bytes, created_at)
select consumer, event_id, stream, number, key, reason, event, digest, key_bytes, event_bytes, created_at
  from commitrelay_consumer_dead_letters_before
 order by created_at, rowid;
drop table commitrelay_consumer_dead_letters_before;
