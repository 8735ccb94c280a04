-- Takes the dead letters of an early build into the table of this one, under a digest that no event has. After
-- consumer_letters_aside.sql and schema/sqlite/consumer.sql. Used in consume/apply/inbox_sqlite.c. No parameters.
insert into commitrelay_consumer_dead_letters
       (consumer, event_id, stream, number, key, reason, event, digest, created_at)
select consumer, event_id, stream, number, key, reason, event, 'earlier ' || event_id, created_at
  from commitrelay_consumer_dead_letters_before;
drop table commitrelay_consumer_dead_letters_before;
